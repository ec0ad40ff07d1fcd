"""Lists of other files, patterns and addresses, under the name of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.forge.case import LIST, Case, outside

WITHHELD = "secret.wav"
NOWHERE = "http://127.0.0.1:9/secret.ts"
LISTS = {
    "hls.wav": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
    "hls.m4a": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n../outside/secret.wav\n#EXT-X-ENDLIST\n",
    "hls-remote.mp3": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{nowhere}\n#EXT-X-ENDLIST\n",
    "hls-master.wav": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{secret}\n",
    "hls-key.ts": '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{secret}"\n#EXTINF:9,\n{secret}\n',
    "hls-concat.mp3": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nconcat:{nowhere}|file://{secret}\n#EXT-X-ENDLIST\n",
    "hls-subfile.mp3": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsubfile,,start,0,end,64,,:{secret}\n",
    "hls-map.mp4": '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MAP:URI="{secret}"\n#EXTINF:9,\n{secret}\n',
    "dash.mp4": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
        'mimeType="audio/mp4"><Representation id="1"><BaseURL>{secret}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>\n"
    ),
    "session.wav": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "session-multicast.mp3": "v=0\no=- 0 0 IN IP4 239.1.1.1\ns=x\nc=IN IP4 239.1.1.1/9\nm=audio 5004 RTP/AVP 0\n",
    "concat.wav": "ffconcat version 1.0\nfile '{secret}'\n",
    "concat-beside.mp3": "ffconcat version 1.0\nfile ../outside/secret.wav\n",
    "concat-remote.m4a": "ffconcat version 1.0\nfile {nowhere}\n",
    "concat-device.flac": "ffconcat version 1.0\nfile /dev/zero\n",
    "concat-pipe.ogg": "ffconcat version 1.0\nfile pipe:0\n",
    "m3u.mp3": "{secret}\n{nowhere}\n",
    "pls.mp3": "[playlist]\nFile1={secret}\nFile2={nowhere}\nNumberOfEntries=2\n",
    "asx.wma": '<asx version="3.0"><entry><ref href="{nowhere}"/></entry></asx>\n',
    "asf-reference.wma": "[Reference]\nRef1={nowhere}\nRef2={secret}\n",
    "smil.mp4": '<smil><body><audio src="{secret}"/></body></smil>\n',
    "xspf.ogg": "<playlist><trackList><track><location>{secret}</location></track></trackList></playlist>\n",
    "imf.mxf": (
        '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
        "<Id>urn:uuid:0</Id></CompositionPlaylist>\n"
    ),
    "avisynth.avi": 'WavSource("{secret}")\n',
    "filter.wav": "amovie={secret}\n",
    "metadata.mp3": ";FFMETADATA1\ntitle=x\n[STREAM]\n",
    "rtsp.rm": "rtsp://127.0.0.1:9/secret\n",
    "subtitles.mkv": "1\n00:00:00,000 --> 00:00:09,000\n{secret}\n",
}


def cases() -> Iterator[Case]:
    """Yield all of them: not one is opened as a list."""
    for name, text in LISTS.items():
        yield Case(name, _writer(text), LIST)


def _writer(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text.format(secret=outside(path) / WITHHELD, nowhere=NOWHERE), encoding="utf-8")

    return write
