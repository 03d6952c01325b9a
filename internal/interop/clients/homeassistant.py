"""Home Assistant's habits, with the client library that it uses.

What its MQTT integration does, and what the devices that it finds do: 3.1.1, a clean session, a
Will and a birth message on homeassistant/status, retained discovery configurations which it
subscribes to by wildcards, many filters in one SUBSCRIBE, availability topics that are the Wills
of devices, subscriptions renewed after each reconnect, states at QoS 0, commands at QoS 0 to 2.
"""

import argparse
import json
import uuid

import report
from paho_client import Client


def prefix():
    return "ha" + uuid.uuid4().hex[:8]


class HomeAssistant(Client):
    """One run of Home Assistant: it begins with its Will, birth message and discovery."""

    COMPONENTS = ["sensor", "binary_sensor", "switch", "light", "climate", "cover", "fan", "lock", "camera", "button"]

    def __init__(self, env, root):
        self.root, self.entities, self.available = root, {}, {}
        super().__init__(env, name=root + "core", will=(root + "/status", "offline", 0, False))

    def start(self):
        super().start()
        filters = [(f"{self.root}/{c}/+/config", 0) for c in self.COMPONENTS]
        filters += [(f"{self.root}/{c}/+/+/config", 0) for c in self.COMPONENTS]
        filters.append((self.root + "/device/+/config", 0))
        self.subscribe(*filters)
        self.publish(self.root + "/status", "online", qos=0)

    def discover(self, n):
        """Takes in n configurations and subscribes to the topics that they name."""
        while len(self.entities) < n:
            m = self.receive()
            if m.topic.endswith("/config"):
                config = json.loads(m.payload)
                self.entities[config["unique_id"]] = config
        topics = sorted({(c["state_topic"], 0) for c in self.entities.values()} | {(c["availability_topic"], 0) for c in self.entities.values()})
        self.subscribe(*topics)

    def until(self, want):
        """Takes in messages until all topics of want have had their value."""
        want = dict(want)
        while want:
            m = self.receive()
            if want.get(m.topic) == m.payload.decode():
                del want[m.topic]


class Device(Client):
    """A device as ESPHome and Tasmota make them."""

    def __init__(self, env, root, name):
        self.root, self.name = root, name
        self.base = f"{root}-dev/{name}"
        super().__init__(env, name=root + name, will=(self.base + "/status", "offline", 1, True))

    def start(self):
        super().start()
        self.subscribe((f"{self.base}/set/#", 2), (self.root + "/status", 0))
        for kind, field in ("sensor", "temperature"), ("binary_sensor", "motion"), ("switch", "relay"):
            config = {
                "name": f"{self.name} {field}",
                "unique_id": f"{self.name}_{field}",
                "state_topic": f"{self.base}/{field}",
                "availability_topic": self.base + "/status",
                "device": {"identifiers": [self.name], "manufacturer": "x" * 300},
            }
            self.publish(f"{self.root}/{kind}/{self.name}/{field}/config", json.dumps(config), 1, retain=True)
        self.publish(self.base + "/status", "online", 1, retain=True)
        for field, value in ("temperature", "21.5"), ("motion", "OFF"), ("relay", "ON"):
            self.publish(f"{self.base}/{field}", value, 0, retain=field != "motion")


def devices_first(env):
    """Devices are there before Home Assistant starts: it finds them by what is retained."""
    root = prefix()
    devices = [Device(env, root, f"d{i}") for i in range(8)]
    for d in devices:
        d.start()
    ha = HomeAssistant(env, root)
    ha.start()
    ha.discover(24)
    ha.until({d.base + "/status": "online" for d in devices} | {d.base + "/relay": "ON" for d in devices})
    for d in devices:
        d.receive(root + "/status", "online")  # the birth message
    for d in devices:
        d.stop()
    ha.stop()


def home_assistant_first(env):
    """Devices come one by one and are discovered live."""
    root = prefix()
    ha = HomeAssistant(env, root)
    ha.start()
    devices = [Device(env, root, f"d{i}") for i in range(4)]
    for n, d in enumerate(devices, 1):
        d.start()
        ha.discover(3 * n)
    ha.until({d.base + "/status": "online" for d in devices})
    for d in devices:
        d.stop()
    ha.stop()


def device_dies(env):
    """A device that loses its power becomes unavailable, and comes back."""
    root = prefix()
    d = Device(env, root, "d")
    d.start()
    ha = HomeAssistant(env, root)
    ha.start()
    ha.discover(3)
    ha.until({d.base + "/status": "online"})
    d.kill()
    ha.until({d.base + "/status": "offline"})
    d = Device(env, root, "d")
    d.start()
    ha.until({d.base + "/status": "online"})
    d.stop()
    ha.stop()


def home_assistant_restarts(env):
    """Home Assistant dies: its Will is seen, its successor finds everything again."""
    root = prefix()
    d = Device(env, root, "d")
    d.start()
    ha = HomeAssistant(env, root)
    ha.start()
    ha.discover(3)
    d.receive(root + "/status", "online")
    ha.kill()
    d.receive(root + "/status", "offline")
    d.publish(d.base + "/relay", "OFF", 1, retain=True)
    ha = HomeAssistant(env, root)  # the same client id
    ha.start()
    ha.discover(3)
    ha.until({d.base + "/status": "online", d.base + "/relay": "OFF", d.base + "/temperature": "21.5"})
    d.receive(root + "/status", "online")
    d.stop()
    ha.stop()


def commands(env):
    """Commands at each QoS arrive in order and are confirmed by the state."""
    root = prefix()
    d = Device(env, root, "d")
    d.start()
    ha = HomeAssistant(env, root)
    ha.start()
    ha.discover(3)
    d.receive(root + "/status", "online")
    for i in range(30):
        value = "ON" if i % 2 else "OFF"
        ha.publish(d.base + "/set/relay", value, i % 3)
        assert d.receive(d.base + "/set/relay", value).qos == i % 3
        d.publish(d.base + "/relay", f"{value} {i}", 0, retain=True)
        ha.until({d.base + "/relay": f"{value} {i}"})
    d.stop()
    ha.stop()


def removal(env):
    """An empty retained configuration removes an entity for good."""
    root = prefix()
    d = Device(env, root, "d")
    d.start()
    d.publish(f"{root}/switch/d/relay/config", b"", 1, retain=True)
    ha = HomeAssistant(env, root)
    ha.start()
    ha.discover(2)
    assert sorted(ha.entities) == ["d_motion", "d_temperature"], ha.entities
    d.stop()
    ha.stop()


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--host")
    p.add_argument("--port", type=int)
    p.add_argument("--protocol")
    p.add_argument("--transport")
    report.run(
        [devices_first, home_assistant_first, device_dies, home_assistant_restarts, commands, removal], p.parse_args()
    )
