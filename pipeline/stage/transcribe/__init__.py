"""Windows -> text: the only place of torch, whisper and silero.

engine.py     the Engine protocol: windows join, replies leave
fake.py       a deterministic one, for tests
whisper.py    the real one: encode, join, step, answer
load.py       which of them, made when it is needed

weights.py    find, fetch, verify: sources.py, manifest.py, ctranslate2.py
checkpoint.py a file of weights -> openai-whisper's model
precision.py  in which numbers it computes, fastest.py: by itself; linear.py: its linear maps
mel.py        samples -> log-mel windows
encoder.py    -> features; attention.py, layers.py
decoding.py   a batch of windows of one kind; running.py: those of every kind
decoder.py    one token a step over cache.py; prompts.py begins, rules.py forbids
search.py     how hypotheses grow; said.py: what they said
frame.py      steps in fixed shapes, of which graphs.py makes CUDA graphs; rows.py: what a window has a row in
transfer.py   to and from the device; shortage.py: memory that runs out
replies.py    tokens -> segments.py, words.py (alignment.py, dtw.py)

voice.py      voice activity, streamed
devices.py    what there is to compute on
"""
