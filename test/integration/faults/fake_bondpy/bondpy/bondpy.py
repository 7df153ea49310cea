"""The half of a bond that sends: ``alive`` with every heartbeat, ``dead`` at the end, with the bond's id."""

import threading

from std_msgs.msg import String


class Bond:
    def __init__(self, topic, id, node):
        self.id, self.topic, self.node = id, topic, node
        self.heartbeat_period = self.heartbeat_timeout = 1.0
        self.pub = node.create_publisher(String, topic, 1)
        self._ended = threading.Event()

    def start(self):
        self.sub = self.node.create_subscription(String, self.topic, lambda message: None, 1)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def shutdown(self):
        self.sub.destroy()
        self._ended.set()
        self._thread.join()
        self.pub.publish(String(data=f"{self.id} dead"))
        self.pub.destroy()

    def _beat(self):
        while not self._ended.wait(self.heartbeat_period):
            self.pub.publish(String(data=f"{self.id} alive"))
