"""A media file -> 16 kHz mono.

ahead.py     decoding ahead in threads: few at work, clips in memory bounded
declared.py  how long a file says it is, where FFmpeg does not tell
decoder.py   the stream of samples, and what is to be said of it
ffmpeg.py    FFmpeg's binary, command line, limits and complaints
lanes.py     the few threads that decode at once, in turn
source.py    the file as one descriptor: opened safely, hashed, confirmed
"""
