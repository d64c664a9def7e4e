"""Writes 16-bit samples of 8 kHz, given as a WAV file, as AMR at 12.2 kbit/s (RFC 4867 section 5), by the codec of OpenCORE.

Arguments: the WAV file, the AMR file.
"""

import ctypes
import sys
import wave

MR122 = 7
FRAME = 160

amr = ctypes.CDLL("libopencore-amrnb.so.0")
amr.Encoder_Interface_init.restype = ctypes.c_void_p
amr.Encoder_Interface_init.argtypes = [ctypes.c_int]
amr.Encoder_Interface_Encode.argtypes = [
    ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int,
]
amr.Encoder_Interface_exit.argtypes = [ctypes.c_void_p]
with wave.open(sys.argv[1], "rb") as file:
    assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
    samples = file.readframes(file.getnframes())
state = amr.Encoder_Interface_init(0)
frame = ctypes.create_string_buffer(64)
with open(sys.argv[2], "wb") as out:
    out.write(b"#!AMR\n")
    for begin in range(0, len(samples) - 2 * FRAME + 1, 2 * FRAME):
        one = samples[begin:begin + 2 * FRAME]
        length = amr.Encoder_Interface_Encode(state, MR122, one, frame, 0)
        out.write(frame.raw[:length])
amr.Encoder_Interface_exit(state)
