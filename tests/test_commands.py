"""The commands of the fixed interface: they do it, say it, and exit with a code that tells."""

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command

from annotate.models import Rating
from datasets.methods import youtube
from datasets.models import Release, Track
from mer.models import Run

pytestmark = pytest.mark.django_db


def run(name: str, *arguments: object, code: int = 0) -> dict:
    out = io.StringIO()
    try:
        call_command(name, *map(str, arguments), "--json", stdout=out)
    except SystemExit as end:
        assert end.code == code
    else:
        assert code == 0
    return json.loads(out.getvalue().strip().splitlines()[-1])


def write_csv(path, rows: list[dict]):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def brought_in(wav_file, tmp_path):
    """Six tracks from a list, with five ratings each."""
    rows = []
    for number in range(6):
        wav_file(1.0, name=f"{number}.wav", seed=number)
        rows.append(
            {
                "file": f"{number}.wav",
                "title": f"T{number}",
                "artist": f"A{number}",
                "licence": "CC0",
                "external_id": f"ext-{number}",
            }
        )
    assert len(run("ingest", write_csv(tmp_path / "list.csv", rows), "--dataset", "Lab")["ready"]) == 6
    words = ("happy", "calm", "sad")
    ratings = [{"track": f"ext-{n}", "rater": f"r{r}", "word": words[n % 3]} for n in range(6) for r in range(5)]
    assert run("import_ratings", write_csv(tmp_path / "ratings.csv", ratings), "--dataset", "Lab")["agreed"] == 6


def test_the_chain_by_commands(brought_in, tmp_path, capsys):
    report = run("agreement", "--dataset", "Lab")
    assert report["alpha"] == 1 and report["per_label"] == {"positive": 2, "neutral": 2, "negative": 2}
    frozen = run("freeze", "lab-v1", "--seed", 3, "--dataset", "Lab")
    assert frozen["items"] == 6
    out = tmp_path / "lab.zip"
    assert run("export", "lab-v1", "--out", out)["sha256"]
    assert run("verify", out)["ok"] is True
    out.write_bytes(out.read_bytes()[:-100])
    assert run("verify", out, code=1)["ok"] is False
    assert run("train", "lab-v1", "--network", "cnn", "--queue")["state"] == "queued"
    assert Run.objects.get().job.state == "queued"
    assert run("compare", "lab-v1")["runs"] == []


def test_ingest_lists_what_it_refuses_and_takes_the_rest(wav_file, tmp_path, dataset):
    folder = tmp_path / "in"
    folder.mkdir()
    wav_file(1.0, name="in/good.wav")
    (folder / "bad.mp3").write_bytes(b"not audio" * 100)
    (folder / "empty.ogg").write_bytes(b"")
    (folder / "notes.txt").write_text("left alone")
    result = run("ingest", folder, code=1)
    assert len(result["ready"]) == 1
    assert {row["source"].rpartition("/")[2] for row in result["refused"]} == {"bad.mp3", "empty.ogg"}
    again = run("ingest", folder / "good.wav")
    assert (again["ready"], len(again["existing"])) == ([], 1)


def test_ingest_takes_every_column_of_a_list_and_the_videos_of_a_playlist(wav_file, tmp_path, dataset, monkeypatch):
    """Fetching itself is tried elsewhere: here each video fails, and its track says what it was to be."""

    def fails(*args, **kwargs):
        raise youtube.FetchFailed("not today", youtube.Problem.GONE)

    monkeypatch.setattr(youtube, "fetch", fails)
    videos = [youtube.Entry("abcdefghij1", "One", 60.0), youtube.Entry("abcdefghij2", "Two", 60.0)]
    monkeypatch.setattr(youtube, "expand", lambda address, **rest: ("A list", videos))
    wav_file(2.0, name="song.wav")
    path = tmp_path / "list.csv"
    path.write_text(
        "file,Link,Title,External ID,start,End time,genre,country\n"
        ",https://youtu.be/abcdefghijk,Rara,x1,10,0:40,pop,Indonesia\n"
        "song.wav,,Mine,x2,0.5,1.5,jazz,Chile\n"
        ",https://www.youtube.com/playlist?list=PLabcdefghijklmnop,,,5,,rock,\n"
    )
    result = run("ingest", path, "abcdefghij3", code=1)
    assert (len(result["ready"]), len(result["refused"])) == (1, 4)
    columns = ("title", "external_id", "reference", "start_s", "end_s", "genre", "country")
    assert list(Track.objects.order_by("pk").values_list(*columns)) == [
        ("Rara", "abcdefghijk", "x1", 10, 40, "pop", "Indonesia"), ("Mine", "x2", "", 0.5, 1.5, "jazz", "Chile"),
        ("One", "abcdefghij1", "", 5, None, "rock", ""), ("Two", "abcdefghij2", "", 5, None, "rock", ""),
        ("https://www.youtube.com/watch?v=abcdefghij3", "abcdefghij3", "", None, None, "", ""),
    ]  # fmt: skip
    assert Track.objects.get(title="Mine").duration_s == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ingest", "/no/such/file.mp3"), "neither a file"),
        (("ingest", "https://evil.example/x"), "refused"),
        (("freeze", "v1"), "nothing to freeze"),
        (("freeze", "a b"), "at most 60 letters"),
        (("export", "nothing", "--out", "/tmp/x.zip"), "no release “nothing”"),
        (("train", "nothing", "--network", "cnn"), "no release “nothing”"),
        (("verify", "/no/such/file"), "no file"),
        (("freeze", "v1", "--seed", "-1"), "seed -1"),
        (("ingest", "http://[abc/x"), "is not an address"),
        (("ingest", "x" * 300), "is no file name"),
        (("ingest", "a\0b"), "neither a file"),
        (("agreement", "--dataset", "Nowhere"), "no dataset “Nowhere”"),
        (("import_ratings", "/no/such.csv"), "no file"),
    ],
)
def test_what_cannot_be_done_ends_with_a_sentence(arguments, message):
    out = io.StringIO()
    try:
        call_command(*arguments, stdout=out)
    except CommandError as error:
        assert message in str(error)
    except SystemExit as end:
        assert end.code == 1 and message in out.getvalue()
    else:
        pytest.fail("it did not complain")


def test_asking_again_finishes_what_was_interrupted_or_failed(wav_file, dataset, monkeypatch):
    path = wav_file(1.0, name="song.wav")
    with monkeypatch.context() as patched:
        patched.setattr("datasets.methods.audio.measure", lambda path: 1 / 0)
        assert len(run("ingest", path, code=1)["refused"]) == 1
    again = run("ingest", path)
    assert again["ready"] == [Track.objects.get().pk] and Track.objects.get().state == "ready"


def test_what_a_folder_holds_besides_audio_is_named(wav_file, tmp_path, dataset):
    folder = tmp_path / "in"
    folder.mkdir()
    wav_file(1.0, name="in/good.wav")
    (folder / "cover.jpg").write_bytes(b"x")
    assert run("ingest", folder)["skipped"] == [str(folder / "cover.jpg")]


def test_a_failed_track_s_ratings_go_to_no_other(brought_in, tmp_path):
    numbers = list(Track.objects.values_list("pk", flat=True))
    Track.objects.filter(external_id="ext-5").update(external_id=str(numbers[0]), state="failed", reason="broken")
    table = write_csv(tmp_path / "more.csv", [{"track": str(numbers[0]), "rater": "new", "word": "happy"}])
    with pytest.raises(CommandError, match=r"cannot be rated: it is failed \(broken\)"):
        call_command("import_ratings", str(table), "--dataset", "Lab")


def test_one_track_under_two_names_is_seen(brought_in, tmp_path):
    table = write_csv(tmp_path / "more.csv", [{"track": name, "rater": "new", "word": "happy"} for name in ("ext-0", "T0")])
    with pytest.raises(CommandError, match="rater new rated track T0 already in line 2"):
        call_command("import_ratings", str(table), "--dataset", "Lab")


def test_imported_names_are_not_kept(brought_in, tmp_path):
    rows = [{"track": "ext-0", "rater": f"{'very.long.name' * 6}{end}@example.org", "word": "happy"} for end in "ab"]
    run("import_ratings", write_csv(tmp_path / "more.csv", rows), "--dataset", "Lab")
    names = set(Rating.objects.values_list("rater__pseudonym", flat=True))
    assert len(names) == 7 and all(name.startswith("R-") for name in names)
    report = run("agreement", "--dataset", "Lab")
    assert sum(bar["n"] for bar in report["histogram"]) == 6


def test_a_list_with_a_missing_file_takes_nothing(wav_file, tmp_path, db):
    wav_file(1.0, name="a.wav")
    listed = write_csv(tmp_path / "list.csv", [{"file": "a.wav"}, {"file": "b.wav"}])
    with pytest.raises(CommandError, match=r"line 3: there is no file"):
        call_command("ingest", str(listed))
    assert not Track.objects.exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"track": "ext-0", "rater": "", "word": "happy"}, "the column rater is empty"),
        ({"track": "ext-9", "rater": "a", "word": "happy"}, "no track “ext-9”"),
        ({"track": "ext-0", "rater": "a", "word": "gleeful"}, "“gleeful” is not a word"),
        ({"track": "ext-0", "rater": "a", "word": ""}, "neither a word nor a label"),
        ({"track": "ext-0", "rater": "a", "word": "happy", "label": "negative"}, "stands for positive"),
        ({"track": "ext-0", "rater": "a", "word": "happy", "valence": "7"}, "between -1 and 1"),
        ({"track": "ext-0", "rater": "a", "word": "happy", "rated_at": "yesterday"}, "yesterday"),
    ],
)
def test_one_bad_row_and_nothing_is_imported(brought_in, tmp_path, row, message):
    good = dict.fromkeys(row, "") | {"track": "ext-1", "rater": "new", "word": "happy"}
    table = write_csv(tmp_path / "more.csv", [good, row])
    with pytest.raises(CommandError, match="line 3") as refused:
        call_command("import_ratings", str(table), "--dataset", "Lab")
    assert message in str(refused.value)
    assert Rating.objects.count() == 30


def test_the_same_ratings_twice_are_refused(brought_in, tmp_path):
    with pytest.raises(CommandError, match=r"(?s)Nothing was imported; 30 of 30 rows.*here already; that rating stays"):
        call_command("import_ratings", str(tmp_path / "ratings.csv"), "--dataset", "Lab")
    assert Rating.objects.count() == 30


def test_doctor_names_what_is_missing_and_the_cure(db):
    result = run("doctor", code=1)
    rows = {row["name"]: row for row in result["checks"]}
    assert rows["Database"]["ok"] and rows["ffmpeg"]["ok"] and rows["Packages"]["ok"]
    assert not rows["Broker"]["ok"] and "make run" in rows["Broker"]["text"]


def test_every_command_explains_itself(capsys):
    for name in (
        "ingest",
        "import_ratings",
        "agreement",
        "freeze",
        "export",
        "verify",
        "train",
        "compare",
        "paper",
        "predict",
        "doctor",
        "demo",
        "studio",
    ):
        with pytest.raises(SystemExit) as end:
            call_command(name, "--help")
        assert end.value.code == 0
        assert len(capsys.readouterr().out) > 200
    assert not Release.objects.exists()
