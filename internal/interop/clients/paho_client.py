"""Tests with Eclipse Paho for Python, as a program would use it."""

import argparse
import queue
import threading
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

import report

WAIT = 20  # seconds; nothing waits that long unless it is broken


class Client:
    """A Paho client whose callbacks end in queues."""

    def __init__(self, env, name=None, clean=True, expiry=0, will=None):
        self.env = env
        self.v5 = env.protocol == "5"
        kwargs = {} if self.v5 else {"clean_session": clean}
        self.c = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=name or "py" + uuid.uuid4().hex[:12],
            protocol=mqtt.MQTTv5 if self.v5 else mqtt.MQTTv311,
            transport="websockets" if env.transport == "ws" else "tcp",
            **kwargs,
        )
        if env.transport == "ws":
            self.c.ws_set_options(path="/mqtt")
        self.messages, self.connected, self.acks = queue.Queue(), queue.Queue(), queue.Queue()
        self.disconnected = threading.Event()
        self.c.on_message = lambda _c, _u, m: self.messages.put(m)
        self.c.on_connect = lambda _c, _u, flags, code, _p: self.connected.put((flags, code))
        self.c.on_subscribe = lambda _c, _u, mid, codes, _p: self.acks.put((mid, codes))
        self.c.on_unsubscribe = lambda _c, _u, mid, codes, _p: self.acks.put((mid, codes))
        self.c.on_disconnect = lambda _c, _u, _f, _code, _p: self.disconnected.set()
        if will:
            self.c.will_set(*will)
        self.clean, self.expiry = clean, expiry

    def start(self):
        kwargs = {}
        if self.v5:
            props = Properties(PacketTypes.CONNECT)
            props.SessionExpiryInterval = self.expiry
            kwargs = {"clean_start": self.clean, "properties": props}
        self.c.connect(self.env.host, self.env.port, keepalive=30, **kwargs)
        self.c.loop_start()
        flags, code = self.connected.get(timeout=WAIT)
        assert code == 0, code
        return flags

    def subscribe(self, *filters):
        _, mid = self.c.subscribe([(f, q) for f, q in filters])
        got, codes = self.acks.get(timeout=WAIT)
        assert got == mid
        assert [c.value for c in codes] == [q for _, q in filters], codes

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        info = self.c.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        info.wait_for_publish(WAIT)
        assert info.is_published(), "no acknowledgement"

    def receive(self, topic=None, payload=None):
        m = self.messages.get(timeout=WAIT)
        if topic is not None:
            assert m.topic == topic, (m.topic, topic)
        if payload is not None:
            assert m.payload.decode() == payload, (m.payload, payload)
        return m

    def stop(self):
        self.c.disconnect()
        self.c.loop_stop()

    def kill(self):
        """Ends the connection as a broken network does."""
        self.c.loop_stop()
        self.c._sock_close()


def topic():
    return "py/" + uuid.uuid4().hex


def connects_and_pings(env):
    c = Client(env)
    c.start()
    c.stop()
    assert c.disconnected.wait(WAIT)


def every_qos(env):
    sub, pub, t = Client(env), Client(env), topic()
    sub.start(), pub.start()
    sub.subscribe((t + "/#", 2))
    for qos in 0, 1, 2:
        pub.publish(f"{t}/{qos}", f"message {qos}", qos)
        assert sub.receive(f"{t}/{qos}", f"message {qos}").qos == qos
    sub.stop(), pub.stop()


def keeps_order(env):
    sub, pub, t = Client(env), Client(env), topic()
    sub.start(), pub.start()
    sub.subscribe((t, 2))
    for qos in 1, 2:
        infos = [pub.c.publish(t, str(i), qos) for i in range(300)]
        for i in range(300):
            sub.receive(t, str(i))
        for info in infos:
            info.wait_for_publish(WAIT)
    sub.stop(), pub.stop()


def large_payloads(env):
    sub, pub, t = Client(env), Client(env), topic()
    sub.start(), pub.start()
    sub.subscribe((t, 1))
    for size in 0, 1, 127, 128, 16383, 16384, 65536, 1 << 20:
        payload = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
        pub.publish(t, payload[:size], 1)
        assert sub.receive(t).payload == payload[:size]
    sub.stop(), pub.stop()


def retained(env):
    pub, t = Client(env), topic()
    pub.start()
    pub.publish(t, "first", 1, retain=True)
    pub.publish(t, "second", 1, retain=True)
    sub = Client(env)
    sub.start()
    sub.subscribe((t, 1))
    assert sub.receive(t, "second").retain
    pub.publish(t, "live", 1)
    assert not sub.receive(t, "live").retain
    pub.publish(t, b"", 1, retain=True)
    sub.receive(t, "")
    late = Client(env)
    late.start()
    late.subscribe((t, 1))
    pub.publish(t, "after", 1)
    late.receive(t, "after")  # and no retained one before it
    sub.stop(), pub.stop(), late.stop()


def last_will(env):
    watch, t = Client(env), topic()
    watch.start()
    watch.subscribe((t, 1))
    polite = Client(env, will=(t, "polite", 1, False))
    polite.start()
    polite.stop()
    assert polite.disconnected.wait(WAIT)
    rude = Client(env, will=(t, "rude", 1, True))
    rude.start()
    rude.kill()
    watch.receive(t, "rude")
    late = Client(env)
    late.start()
    late.subscribe((t, 1))
    assert late.receive(t, "rude").retain
    late.publish(t, b"", 1, retain=True)
    watch.stop(), late.stop()


def kept_session(env):
    name, t = "py" + uuid.uuid4().hex[:12], topic()
    c = Client(env, name, clean=False, expiry=300)
    assert not c.start().session_present
    c.subscribe((t, 2))
    c.stop()
    pub = Client(env)
    pub.start()
    for i in range(50):
        pub.publish(t, str(i), 1 + i // 25)  # order is promised for each QoS
    c = Client(env, name, clean=False, expiry=300)
    assert c.start().session_present
    for i in range(50):
        c.receive(t, str(i))
    c.stop(), pub.stop()
    c = Client(env, name, clean=True)
    assert not c.start().session_present
    c.stop()


def unsubscribes(env):
    c, t = Client(env), topic()
    c.start()
    c.subscribe((t + "/a", 1), (t + "/b", 1))
    _, mid = c.c.unsubscribe(t + "/a")
    assert c.acks.get(timeout=WAIT)[0] == mid
    c.publish(t + "/a", "no")
    c.publish(t + "/b", "yes")
    c.receive(t + "/b", "yes")
    c.stop()


def many_clients(env):
    t = topic()
    clients = [Client(env) for _ in range(20)]
    for c in clients:
        c.start()
        c.subscribe((t, 1))
    clients[0].publish(t, "all", 1)
    for c in clients:
        c.receive(t, "all")
        c.stop()


def properties(env):
    sub, pub, t = Client(env), Client(env), topic()
    sub.start(), pub.start()
    sub.subscribe((t, 1))
    p = Properties(PacketTypes.PUBLISH)
    p.ContentType, p.ResponseTopic, p.CorrelationData = "text/plain", "answer", b"\x00\x01"
    p.PayloadFormatIndicator, p.MessageExpiryInterval = 1, 60
    p.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
    pub.publish(t, "x", 1, properties=p)
    got = sub.receive(t, "x").properties
    assert got.ContentType == "text/plain" and got.ResponseTopic == "answer" and got.CorrelationData == b"\x00\x01"
    assert got.PayloadFormatIndicator == 1 and 58 <= got.MessageExpiryInterval <= 60
    assert got.UserProperty == [("b", "1"), ("a", "2"), ("b", "3")]
    sub.stop(), pub.stop()


def subscribe_options(env):
    c, other, t = Client(env), Client(env), topic()
    c.start(), other.start()
    other.publish(t, "retained", 1, retain=True)
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
    p = Properties(PacketTypes.SUBSCRIBE)
    p.SubscriptionIdentifier = 77
    c.c.subscribe([(t, options)], properties=p)
    c.acks.get(timeout=WAIT)
    c.publish(t, "own", 1)
    other.publish(t, "kept", 1, retain=True)
    m = c.receive(t, "kept")
    assert m.retain and m.properties.SubscriptionIdentifier == [77]
    other.publish(t, b"", 1, retain=True)
    c.stop(), other.stop()


def shared(env):
    t, group = topic(), uuid.uuid4().hex
    members, pub = [Client(env) for _ in range(3)], Client(env)
    for m in members:
        m.start()
        m.subscribe((f"$share/{group}/{t}", 1))
    pub.start()
    for i in range(30):
        pub.publish(t, str(i), 1)
    got = []
    for m in members:  # a sentinel of its own ends each
        m.subscribe((f"{t}/end", 1))
    pub.publish(f"{t}/end", "", 1)
    for m in members:
        for x in iter(lambda: m.receive(), None):
            if x.topic.endswith("/end"):
                break
            got.append(x.payload.decode())
        m.stop()
    assert sorted(got, key=int) == [str(i) for i in range(30)], got
    pub.stop()


TESTS = [
    connects_and_pings, every_qos, keeps_order, large_payloads, retained, last_will, kept_session, unsubscribes, many_clients,
]
TESTS_5 = [properties, subscribe_options, shared]

if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--host")
    p.add_argument("--port", type=int)
    p.add_argument("--protocol", choices=["311", "5"])
    p.add_argument("--transport", choices=["tcp", "ws"])
    args = p.parse_args()
    report.run(TESTS + (TESTS_5 if args.protocol == "5" else []), args)
