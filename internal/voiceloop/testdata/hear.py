"""Says which time of day is spoken in a WAV file of 16 kHz: hear.py FILE"""
import sys
import tempfile
import wave

from pocketsphinx import Config, Decoder

GRAMMAR = """#JSGF V1.0; grammar clock;
<unit> = one | two | three | four | five | six | seven | eight | nine;
<hour> = <unit> | ten | eleven | twelve;
<teen> = ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen;
<ten> = twenty | thirty | forty | fifty;
<minute> = oh <unit> | <teen> | <ten> [<unit>];
public <clock> = it is <hour> [<minute>] (a.m. | p.m.);
"""

with wave.open(sys.argv[1]) as w:
    assert w.getframerate() == 16000 and w.getnchannels() == 1 and w.getsampwidth() == 2
    sound = w.readframes(w.getnframes())
with tempfile.NamedTemporaryFile("w", suffix=".jsgf") as g:
    g.write(GRAMMAR)
    g.flush()
    decoder = Decoder(Config(samprate=16000, loglevel="ERROR", jsgf=g.name, lm=None))
decoder.start_utt()
decoder.process_raw(sound, full_utt=True)
decoder.end_utt()
print(decoder.hyp().hypstr if decoder.hyp() else "")
