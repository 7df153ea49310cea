"""A camera that drives through the map: what :mod:`harness` sends, with where it was at each moment."""

from geometry_msgs.msg import PoseStamped
from harness import MS, NEAR

IN_MAP = ("-p", "target_frame:=map", "-p", "pose_source:=topic")
S = 1000 * MS


def stand(rig, stamp, x):
    """Publish two poses around ``stamp``: the camera is at ``x`` and looks along the map's x axis."""
    for aside in (-20, 20):
        rig.robot.stand(stamp + aside * MS, x, 0.0, 1.0)


def see_from(rig, x, stamp, **how):
    """The target in an image from ``x``."""
    stand(rig, stamp, x)
    return rig.answer(rig.send(stamp=stamp, **how))


def is_placed(target, x, near=NEAR):
    """Whether the block is where it is seen from ``x``."""
    point = target and target["point"]
    return bool(point) and abs(point[0] - x - near) < 0.05 and abs(point[1]) < 0.05 and abs(point[2] - 1.0) < 0.05


def hear_goals(rig):
    """A list that ~/goal is put into."""
    goals = []
    rig.robot.listen("/grounding/goal", PoseStamped, goals.append)
    return goals
