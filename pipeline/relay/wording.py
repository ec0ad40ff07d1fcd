"""transcription-status.txt: how a directory stands, in plain words, English or French. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.tasks import ACTIVE, FAILURES, FileState, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARK = "Whisper Transcription · transcription-status.txt"  # the first line: by this we know our own
_S = FileState


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The words of one language."""

    about: str
    folder: str
    as_of: str
    active: str
    left: str
    ended: str
    ended_badly: str
    cancelled: str
    failed: str
    noted: str
    states: Mapping[str, str]
    reasons: Mapping[str, str]  # by an error's code; its own message where there is none


ENGLISH = Wording(
    about="Rewritten by the service; the same for programs is in transcription-status.json.",
    folder="Folder: {}",
    as_of="As of: {}",
    active="At work: {:.0%} done.",
    left="About {} left.",
    ended="Finished.",
    ended_badly="Finished; {} could not be transcribed, see below.",
    cancelled="Cancelled.",
    failed="Could not be transcribed:",
    noted="Worth a look:",
    states={
        _S.SETTLING: "still being copied",
        _S.QUEUED: "waiting",
        _S.LEASED: "being transcribed",
        _S.COMMITTING: "being written",
        _S.RETRY_WAIT: "to be tried again",
        _S.DONE: "done",
        _S.FAILED: "failed",
        _S.QUARANTINED: "set aside (crashed the engine twice)",
        _S.SKIPPED: "skipped (done before, or removed)",
        _S.CANCELLED: "cancelled",
    },
    reasons={
        "crashed": "{message}. Convert the file or cut it, or ask for a retry.",
        "stalled": "{message}. Convert the file or cut it, or ask for a retry.",
        "out_of_memory": "{message}. A smaller model may do it; or free some memory and ask for a retry.",
        "internal": "{message}. Ask for a retry; if that fails too, report it with the log.",
    },
)

FRENCH = Wording(
    about="Réécrit par le service ; la même chose pour les programmes est dans transcription-status.json.",
    folder="Dossier : {}",
    as_of="État au : {}",
    active="En cours : {:.0%} fait.",
    left="Encore {} environ.",
    ended="Terminé.",
    ended_badly="Terminé ; {} en échec, voir plus bas.",
    cancelled="Annulé.",
    failed="N'ont pas pu être transcrits :",
    noted="À vérifier :",
    states={
        _S.SETTLING: "en cours de copie",
        _S.QUEUED: "en attente",
        _S.LEASED: "en cours de transcription",
        _S.COMMITTING: "en cours d'écriture",
        _S.RETRY_WAIT: "à réessayer",
        _S.DONE: "fait(s)",
        _S.FAILED: "en échec",
        _S.QUARANTINED: "mis de côté (ont arrêté le moteur deux fois)",
        _S.SKIPPED: "passé(s) (déjà faits, ou retirés)",
        _S.CANCELLED: "annulé(s)",
    },
    reasons={
        "empty": "Le fichier est vide (0 octet) ; copiez-le de nouveau.",
        "not_media": "Le contenu n'est ni de l'audio ni de la vidéo que FFmpeg sache lire, quel que soit le nom ; "
        "remplacez ou retirez le fichier.",
        "no_audio": "Le fichier n'a pas de piste audio : il n'y a rien à transcrire ; remplacez-le ou retirez-le.",
        "corrupt": "Aucun son n'a pu être décodé : le fichier est endommagé ; copiez-le de nouveau depuis sa source.",
        "too_long": "Il contient plus de son qu'un enregistrement de sa taille ; découpez-le si c'en est un.",
        "unreadable": "Le fichier ne peut pas être ouvert : permission refusée ; donnez le droit de lecture à "
        "l'utilisateur du service (chmod), il sera réessayé.",
        "read_failed": "La lecture du fichier a échoué ; il sera réessayé.",
        "gone": "Le fichier a été retiré avant d'être transcrit.",
        "changed": "Le fichier a changé pendant sa transcription ; il sera refait.",
        "decode_stalled": "Le décodage n'avançait plus et a été arrêté ; copiez le fichier de nouveau.",
        "bad_options": "Les options demandées (whisper.toml ou requête) ne sont pas valables : {message}",
        "outside_workdir": "Un lien mène hors du dossier de travail ; copiez le fichier lui-même.",
        "outputs_unwritable": "La transcription n'a pas pu être écrite : {message}",
        "crashed": "Le moteur s'est arrêté sur ce fichier ; convertissez-le, coupez-le ou demandez un nouvel essai.",
        "stalled": "Le moteur n'avançait plus sur ce fichier ; convertissez-le, coupez-le ou demandez un nouvel essai.",
        "worker_lost": "Le moteur a disparu pendant ce fichier ; il sera réessayé.",
        "not_seen": "Le moteur, sur une autre machine, ne voit pas ce fichier ; vérifiez le montage du dossier.",
        "out_of_memory": "La mémoire n'a pas suffi ; libérez-en ou prenez un modèle plus petit, puis relancez.",
        "media": "Le fichier n'a pas pu être transcrit : {message}",
        "internal": "Erreur interne ({message}) ; demandez un nouvel essai, sinon signalez-la avec le journal.",
        "no_media": "Le dossier ne contient ni audio ni vidéo ; copiez-en, ils seront trouvés tout seuls.",
    },
)


def wording_for(language: str) -> Wording:
    """Return the words for a locale's name (`fr_FR.UTF-8`): French ones, else English."""
    return FRENCH if language.lower().startswith("fr") else ENGLISH


def write_status(answer: Mapping[str, Any], words: Wording) -> str:
    """Return a monitoring answer (with files) as text for people."""
    return "\n".join([MARK, words.about, "", *_head(answer, words), *_files(answer, words)]) + "\n"


def _head(answer: Mapping[str, Any], words: Wording) -> Iterator[str]:
    yield words.folder.format(_one_line(answer["dirname"]))
    yield words.as_of.format(answer["updated_at"][:16].replace("T", " ") + " UTC")
    yield _summary(answer, words)
    if answer["error"]:
        yield reason(answer["error"], words)
    yield ""
    for state, number in answer["counts"].items():
        yield f"{number:6d} {words.states[state]}"


def _summary(answer: Mapping[str, Any], words: Wording) -> str:
    if answer["task_status"] in ACTIVE:
        left = f" {words.left.format(_duration(answer['eta_seconds']))}" if answer["eta_seconds"] else ""
        return words.active.format(answer["progress"]) + left
    if answer["task_status"] == TaskState.CANCELLED:
        return words.cancelled
    failed = sum(answer["counts"].get(state, 0) for state in FAILURES)
    return words.ended_badly.format(failed) if failed else words.ended


def _files(answer: Mapping[str, Any], words: Wording) -> Iterator[str]:
    bad = FAILURES | {_S.RETRY_WAIT}
    failed = [each for each in answer["files"] if each["error"] and each["status"] in bad]
    noted = [each for each in answer["files"] if each["warnings"]]
    for title, files in ((words.failed, failed), (words.noted, noted)):
        if files:
            yield from ("", title)
        for each in files:
            yield from ("", f"  {_one_line(each['path'])}")
            remarks = each["warnings"] if files is noted else [reason(each["error"], words)]
            yield from (f"      {_one_line(remark)}" for remark in remarks)


def reason(error: Mapping[str, str], words: Wording) -> str:
    """Say what happened and what to do about it."""
    return words.reasons.get(error["code"], "{message}").replace("{message}", error["message"])


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    hours, minutes = divmod(max(1, minutes), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _one_line(text: str) -> str:
    """Keep a name with a newline from looking like two."""
    return text.replace("\r", "\\r").replace("\n", "\\n")
