"""Uses a Wyoming server as Home Assistant does, with the classes of the protocol's own package.

Usage: wyoming_client.py URI DOMAIN...  with DOMAIN of asr, tts and wake: what has to be offered. With
stdio:// as the URI the server is at this program's standard input and output, and the report goes
to the file that REPORT names.
"""

import array
import asyncio
import math
import os
import sys

import report
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice
from wyoming.wake import Detect, Detection, NotDetected

TIMEOUT = 60


def tone(samples, rate, channels=1):
    return array.array("h", [int(8000 * math.sin(i / rate * 2700)) for i in range(samples) for _ in range(channels)]).tobytes()


class Talk:
    """One connection; over stdio, the only one."""

    shared = None

    def __init__(self, uri):
        self.uri = uri

    async def __aenter__(self):
        if Talk.shared is not None:
            self.client = Talk.shared
            return self
        self.client = AsyncClient.from_uri(self.uri, connect_timeout=TIMEOUT, read_timeout=TIMEOUT)
        await self.client.connect()
        if self.uri == "stdio://":
            Talk.shared = self.client
        return self

    async def __aexit__(self, *_):
        if Talk.shared is None:
            await self.client.disconnect()

    async def send(self, *events):
        for event in events:
            await self.client.write_event(event if isinstance(event, Event) else event.event())

    async def next(self, kind):
        """The next event, which is a kind."""
        event = await self.client.read_event()
        assert event is not None, "the connection ended"
        assert kind.is_type(event.type), (event.type, event.data)
        return kind.from_event(event)

    async def end(self):
        assert await self.client.read_event() is None

    async def sound(self):
        """The sound up to its end, with its format."""
        start = await self.next(AudioStart)
        pcm = b""
        while True:
            event = await self.client.read_event()
            assert event is not None, "the connection ended"
            if AudioStop.is_type(event.type):
                return start, pcm
            chunk = AudioChunk.from_event(event)
            assert (chunk.rate, chunk.width, chunk.channels) == (start.rate, start.width, start.channels)
            pcm += chunk.audio


def hear(rate, channels, pcm, piece=1024):
    """A stream of sound as Home Assistant sends it."""
    at, step = 0, piece * 2 * channels
    yield AudioStart(rate, 2, channels, timestamp=0)
    for i in range(0, len(pcm), step):
        yield AudioChunk(rate, 2, channels, pcm[i : i + step], timestamp=at)
        at += 1000 * piece // rate
    yield AudioStop(timestamp=at)


async def describes(uri, domains):
    async with Talk(uri) as t:
        for _ in range(2):
            await t.send(Describe())
            info = await t.next(Info)
            for domain in ("asr", "tts", "wake"):
                programs = getattr(info, domain)
                assert (domain in domains) == bool(programs), (domain, programs)
                for p in programs:
                    assert p.name and p.attribution.name and p.attribution.url and p.installed, p
                    parts = p.voices if domain == "tts" else p.models
                    assert parts and all(m.name and m.languages and m.attribution.name for m in parts), p
            assert not (info.handle or info.intent or info.mic or info.snd or info.satellite)


async def answers_pings(uri, _):
    async with Talk(uri) as t:
        await t.send(Ping(text="Grüße"), SelectProgram(name="tarsd"), Event("from-the-future", {"a": [1]}, b"xyz"), Ping())
        assert (await t.next(Pong)).text == "Grüße"
        await t.next(Pong)


async def transcribes(uri, domains):
    if "asr" not in domains:
        return
    async with Talk(uri) as t:
        for rate, channels in ((16000, 1), (48000, 2), (22050, 1)):
            await t.send(Transcribe(language="en"), *hear(rate, channels, tone(rate, rate, channels)))
            text = await t.next(Transcript)
            assert text.text and text.language == "en", text


async def hears_the_wake_word(uri, domains):
    if "wake" not in domains:
        return
    async with Talk(uri) as t:
        await t.send(Describe())
        name = (await t.next(Info)).wake[0].models[0].name
        await t.send(Detect(names=[name]), *hear(16000, 1, tone(16000, 16000)))
        if "tones" in domains:  # a detector of a test, which takes a tone for the word
            found = await t.next(Detection)
            assert found.name == name and found.timestamp is not None, found
        else:
            await t.next(NotDetected)
        await t.send(Detect(), *hear(16000, 1, bytes(32000)))
        await t.next(NotDetected)
        await t.send(Detect(names=["alexa"]), *hear(16000, 1, tone(16000, 16000)))
        await t.next(NotDetected)


async def speaks(uri, domains):
    if "tts" not in domains:
        return
    async with Talk(uri) as t:
        await t.send(Describe())
        for voice in (await t.next(Info)).tts[0].voices:
            await t.send(Synthesize(text="Hello there, how are you?", voice=SynthesizeVoice(name=voice.name)))
            start, pcm = await t.sound()
            assert start.width == 2 and start.channels == 1 and len(pcm) > 2000, (start, len(pcm))
        await t.send(Synthesize(text="", voice=SynthesizeVoice(language="en")))
        await t.sound()


async def speaks_while_text_comes(uri, domains):
    if "tts" not in domains:
        return
    async with Talk(uri) as t:
        await t.send(Describe())
        assert (await t.next(Info)).tts[0].supports_synthesize_streaming
        for text in ("This is one sentence. ", "This is another one, which", " ends here. And a third"):
            await t.send(*([SynthesizeStart()] if text.startswith("This is one") else []), SynthesizeChunk(text=text))
        _, pcm = await t.sound()  # before the end of the text
        assert len(pcm) > 2000
        await t.send(Synthesize(text="This is one sentence. This is another one, which ends here. And a third"), SynthesizeStop())
        while True:
            event = await t.client.read_event()
            if SynthesizeStopped.is_type(event.type):
                break
            assert event.type in ("audio-start", "audio-chunk", "audio-stop"), event


async def says_what_is_wrong(uri, _):
    if uri == "stdio://":
        return  # it would end the only connection
    async with Talk(uri) as t:
        await t.send(AudioStart(rate=7, width=2, channels=1))
        assert "7 Hz" in (await t.next(Error)).text
        await t.end()


def main():
    uri, domains = sys.argv[1], sys.argv[2:]
    loop = asyncio.new_event_loop()

    def test(f):
        def call():
            loop.run_until_complete(asyncio.wait_for(f(uri, domains), TIMEOUT))

        call.__name__ = f.__name__
        return call

    if uri == "stdio://":
        report.out = open(os.environ["REPORT"], "w", encoding="utf-8")
    report.run([test(f) for f in (describes, answers_pings, transcribes, hears_the_wake_word, speaks, speaks_while_text_comes, says_what_is_wrong)])


if __name__ == "__main__":
    main()
