"""Somebody in the node's domain who listens and asks; prints what came of it as JSON.

``python stranger.py SECONDS``; the environment says which certificate it has, if any.
"""

import json
import sys
import time

from robot import Robot
from std_msgs.msg import String
from std_srvs.srv import Trigger


def main(seconds, domain):
    robot = Robot(domain)
    client = robot.node.create_client(Trigger, "/grounding/clear")
    deadline, services, calls = time.monotonic() + seconds, False, []
    answered = lambda: any(each.done() for each in calls)  # noqa: E731
    while time.monotonic() < deadline and not (robot.results and robot.health and robot.queries and answered()):
        robot.see()
        robot.query.publish(String(data="of a stranger"))
        services = services or client.service_is_ready()
        calls += [client.call_async(Trigger.Request())] if services else []  # the first may be lost
        robot.wait(lambda: False, 0.2)
    heard = {"results": len(robot.results), "health": len(robot.health), "queries": len(robot.queries)}
    print(json.dumps(heard | {"services": services, "answered": answered()}))
    robot.close()


main(float(sys.argv[1]), int(sys.argv[2]))
