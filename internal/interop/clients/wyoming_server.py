"""A Wyoming server of the protocol's own package, whose recogniser counts and whose voice hums.

Usage: wyoming_server.py URI
"""

import array
import asyncio
import sys

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer
from wyoming.tts import Synthesize
from wyoming.wake import Detect, Detection, NotDetected

WHO = {"attribution": Attribution(name="somebody", url="https://example.org"), "installed": True, "description": None, "version": None}


def info():
    speakers = [TtsVoiceSpeaker(name=f"speaker {i}") for i in range(2000)]  # more than fits into a line
    return Info(
        asr=[AsrProgram(name="counter", models=[AsrModel(name="tiny", languages=["en"], **WHO)], supports_transcript_streaming=True, **WHO)],
        tts=[TtsProgram(name="hum", voices=[TtsVoice(name="low", languages=["en"], speakers=speakers, **WHO)], **WHO)],
        wake=[WakeProgram(name="ear", models=[WakeModel(name="hey", languages=["en"], phrase=None, **WHO)], **WHO)],
    )


class Handler(AsyncEventHandler):
    request, samples, detect = Transcribe(), 0, None

    async def send(self, *events):
        for event in events:
            await self.write_event(event.event())

    async def handle_event(self, event):
        if Describe.is_type(event.type):
            await self.send(info())
        elif Ping.is_type(event.type):
            await self.send(Pong(text=Ping.from_event(event).text))
        elif Transcribe.is_type(event.type):
            self.request, self.detect = Transcribe.from_event(event), None
        elif Detect.is_type(event.type):
            self.detect = Detect.from_event(event)
        elif AudioStart.is_type(event.type):
            self.samples = 0
            if self.detect is None:
                await self.send(TranscriptStart(language=self.request.language), TranscriptChunk(text="so far"))
        elif AudioChunk.is_type(event.type):
            chunk = AudioChunk.from_event(event)
            assert (chunk.rate, chunk.width, chunk.channels) == (16000, 2, 1), chunk
            self.samples += chunk.samples
        elif AudioStop.is_type(event.type):
            await self.ended()
        elif Synthesize.is_type(event.type):
            return await self.speak(Synthesize.from_event(event))
        return True

    async def ended(self):
        if self.detect is not None:
            await self.send(NotDetected() if self.samples == 0 else Detection(name=(self.detect.names or ["hey"])[0], timestamp=7))
            return
        text = f"{self.samples} samples for {self.request.name}, Grüße"
        await self.send(Transcript(text=text, language=self.request.language), TranscriptStop())

    async def speak(self, ask):
        if ask.text == "fail":
            await self.send(Error(text="no such voice", code="voice"))
            return False
        pcm = array.array("h", [1000] * 100 * len(ask.text)).tobytes()
        await self.send(AudioStart(rate=22050, width=2, channels=1, timestamp=0))
        for i in range(0, len(pcm), 2048):
            await self.send(AudioChunk(rate=22050, width=2, channels=1, audio=pcm[i : i + 2048], timestamp=i))
        await self.send(AudioStop())
        return True


asyncio.run(AsyncServer.from_uri(sys.argv[1]).run(Handler))
