"""Lists of tracks: what every row is before anything is fetched, what came of each afterwards, and nothing lost or done twice."""

import io
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from openpyxl import Workbook
from yt_dlp.extractor.youtube import YoutubeTabIE
from yt_dlp.utils import ExtractorError

from datasets import jobs
from datasets.errors import SourceRefused, WrongState
from datasets.methods import lists
from datasets.models import Dataset, Import, ImportRow, Job, QueuePause, Track
from datasets.services import imports, queue

pytestmark = [pytest.mark.django_db, pytest.mark.database]
IDS = [f"video{number:06d}" for number in range(614)]


def text(response) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def make(dataset, pasted: str, **values) -> Import:
    return imports.create_import(dataset=dataset, name="A list", lines=lists.read_lines(pasted), **values)


def run(owner: Import, by) -> Job:
    job = imports.confirm(owner, by=by)
    return queue.run_job(job.pk, jobs.run_import)


def test_every_row_says_what_it_is_before_anything_is_fetched(dataset, curator):
    owner = make(
        dataset,
        """
        https://youtu.be/video000000
        # a comment

        https://www.youtube.com/watch?v=video000000&t=5
        https://www.youtube.com/feed/history
        https://evil.example/watch?v=video000001
        video000002
        """,
    )
    rows = {row.number: row for row in owner.rows.all()}
    assert sorted(rows) == [2, 5, 6, 7, 8]
    assert rows[2].kind == "video" and not rows[2].refusal
    assert rows[5].refusal == "The same video as in line 2."
    assert "history" in rows[6].refusal and "evil.example" in rows[7].refusal
    assert owner.state == "preview" and not Track.objects.exists() and not Job.objects.exists()


def test_614_links_come_in_once_even_if_the_work_is_interrupted(dataset, curator, monkeypatch):
    owner = make(dataset, "\n".join(f"https://youtu.be/{one}" for one in IDS), artist="Various", licence="CC BY")
    job = imports.confirm(owner, by=curator)
    bring_in, done = imports.bring_in, []

    def dies_after_a_while(owner, row):
        bring_in(owner, row)
        done.append(row.pk)
        if len(done) == 200:
            raise KeyboardInterrupt

    monkeypatch.setattr(imports, "bring_in", dies_after_a_while)
    with pytest.raises(KeyboardInterrupt):
        queue.run_job(job.pk, jobs.run_import)
    assert Track.objects.count() == 200
    monkeypatch.setattr(imports, "bring_in", bring_in)
    Job.objects.filter(pk=job.pk).update(state="queued", claim="")
    assert queue.run_job(job.pk, jobs.run_import).state == "done"
    owner.refresh_from_db()
    assert owner.state == "done" and Track.objects.count() == 614 == owner.rows.exclude(track=None).count()
    assert set(Track.objects.values_list("artist", "licence")) == {("Various", "CC BY")}
    again = make(dataset, "\n".join(IDS[:3]))
    assert all("already, as track" in row.refusal for row in again.rows.all())
    with pytest.raises(WrongState, match="No row"):
        imports.confirm(again, by=curator)


def sheet(*rows) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


HEAD = ["URL", "Judul", "Artis", "Licence", "Start", "End"]
ROWS = [
    ["https://youtu.be/video000001", "Bengawan Solo", "Gesang", "CC BY", "0:30", "1:15.5"],
    ["https://youtu.be/video000002", "=1+1", "", "", "90", "30"],
    ["", "No address", "", "", "", ""],
    ["https://youtu.be/video000003", "Kuda-kuda", "", "", "soon", ""],
]


@pytest.mark.parametrize("kind", ["csv", "semicolons", "tsv", "xlsx", "utf-16"])
def test_a_table_in_any_common_form_gives_the_same_rows(kind):
    glue = {"semicolons": ";", "tsv": "\t"}.get(kind, ",")
    written = "\n".join(glue.join(row) for row in [HEAD, *ROWS])
    data = sheet(HEAD, *ROWS) if kind == "xlsx" else written.encode("utf-16" if kind == "utf-16" else "utf-8-sig")
    found = lists.read_table(data, f"list.{'csv' if kind in ('semicolons', 'utf-16') else kind}")
    assert [line.number for line in found] == [2, 3, 4, 5]
    assert (found[0].title, found[0].artist, found[0].start_s, found[0].end_s) == ("Bengawan Solo", "Gesang", 30, 75.5)
    assert [bool(line.problem) for line in found] == [False, True, True, True]
    assert "not after the start" in found[1].problem and "no address" in found[2].problem and "“soon”" in found[3].problem


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("list.csv", b"", "has no rows"),
        ("list.csv", b"title,artist\na,b\n", "needs a column url"),
        ("list.csv", b"url\n\xff\xfe\x00\x81", "is not text"),
        ("list.xlsx", b"PK no zip", "cannot be read as a spreadsheet"),
        ("list.pdf", b"%PDF", "is no list"),
        ("list.csv", b"url\n" + b"x\n" * 20_001, "at most 20,000"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_the_reason(name, data, why):
    with pytest.raises(SourceRefused, match=why):
        lists.read_table(data, name)


def test_a_list_that_windows_saved_in_its_own_code_page_is_read():
    found = lists.read_table("url,title\nhttps://youtu.be/dQw4w9WgXcQ,Café “Braga”\n".encode("cp1252"), "list.csv")
    assert found[0].title == "Café “Braga”"


def test_the_preview_says_how_many_rows_a_dataset_with_licences_would_refuse(client, curator, dataset):
    Dataset.objects.filter(pk=dataset.pk).update(licence_required=True)
    client.force_login(curator)
    text = "https://youtu.be/dQw4w9WgXcQ\nhttps://youtu.be/9bZkp7q19f0"
    page = client.post("/imports/", {"dataset": dataset.pk, "addresses": text}, follow=True)
    assert "2 rows name no licence" in page.content.decode()


def test_a_spreadsheet_that_unpacks_into_gigabytes_is_not_unpacked():
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (lists.MOST_UNPACKED + 1))
    assert len(buffer.getvalue()) < 1_000_000
    with pytest.raises(SourceRefused, match="unpacks into more than"):
        lists.read_table(buffer.getvalue(), "bomb.xlsx")


@pytest.fixture
def tab(monkeypatch):
    """What YouTube's list pages would say: recorded entries by address, through yt-dlp's own code."""
    answers: dict[str, object] = {}

    def extract(self, url):
        answer = next((value for part, value in answers.items() if part in url), None)
        if not isinstance(answer, list):
            raise ExtractorError(str(answer or "The playlist does not exist."), expected=True)
        entries = [self.url_result(f"https://www.youtube.com/watch?v={one}", "Youtube", one, f"Song {one}") for one in answer]
        return self.playlist_result(entries, "PL-x", "My list")

    monkeypatch.setattr(YoutubeTabIE, "_real_extract", extract)
    monkeypatch.setattr(YoutubeTabIE, "extract", lambda self, url: self._real_extract(url))
    return answers


PLAYLIST = "https://www.youtube.com/playlist?list=PLt5yu3-wZAlSLRHmI1qNm0wjyVNWw1pCU"


def test_playlists_and_channels_are_unfolded_for_the_preview(dataset, curator, tab):
    tab |= {"PLt5yu3": IDS[:5], "@gesang": IDS[3:8]}
    owner = make(dataset, f"{IDS[0]}\n{PLAYLIST}\nhttps://www.youtube.com/@gesang\nhttps://www.youtube.com/@nobody/videos")
    assert owner.state == "reading"
    assert queue.run_job(Job.objects.get().pk, jobs.read_import).state == "done"
    owner.refresh_from_db()
    kept = owner.rows.filter(refusal="")
    assert owner.state == "preview" and {row.identifier for row in kept} == set(IDS[:8]) and kept.count() == 8
    assert set(kept.filter(number=2).values_list("title", flat=True)) == {f"Song {one}" for one in IDS[1:5]}
    assert "does not exist" in owner.rows.get(number=4).refusal
    assert owner.rows.filter(refusal__startswith="The same video as in line").count() == 3
    assert not Track.objects.exists()


def test_a_bot_check_while_reading_a_playlist_pauses_and_goes_on_later(dataset, curator, tab):
    tab |= {"PLt5yu3": "Sign in to confirm you’re not a bot"}
    owner = make(dataset, PLAYLIST)
    job = queue.run_job(Job.objects.get().pk, jobs.read_import)
    owner.refresh_from_db()
    assert (job.state, owner.state) == ("queued", "reading") and QueuePause.objects.get().until
    queue.resume("fetch", by=curator)
    tab["PLt5yu3"] = IDS[:2]
    assert queue.run_job(job.pk, jobs.read_import).state == "done"
    assert owner.rows.count() == 2


def test_a_playlist_that_is_not_reached_holds_up_nothing_and_can_be_read_again(client, dataset, curator, tab):
    tab |= {"PLt5yu3": "Failed to resolve www.youtube.com"}
    owner = make(dataset, PLAYLIST)
    assert queue.run_job(Job.objects.get().pk, jobs.read_import).state == "done"
    owner.refresh_from_db()
    assert owner.state == "preview" and "read it again later" in owner.rows.get(kind="playlist").refusal
    client.force_login(curator)
    assert "Read 1 playlist again" in text(client.get(f"/imports/{owner.pk}/"))
    assert "Playlists and channels that were not reached" in text(client.get("/jobs/health/"))
    tab["PLt5yu3"] = IDS[:2]
    client.post(f"/imports/{owner.pk}/read-again/")
    assert queue.run_job(Job.objects.latest("pk").pk, jobs.read_import).state == "done"
    assert set(owner.rows.values_list("identifier", flat=True)) == set(IDS[:2])
    assert "Every playlist of this list was read" in text(client.post(f"/imports/{owner.pk}/read-again/", follow=True))


def test_the_preview_shows_what_a_row_holds_and_an_external_id_names_one_track(client, dataset, curator):
    lines = lists.read_table(
        b"url,artist,genre,country,start,end,external_id\n"
        b"https://youtu.be/abcdefghijk,Rara,pop,Indonesia,10,1:10,x1\nhttps://youtu.be/abcdefghijl,Citra,,,,,x1\n",
        "songs.csv",
    )
    owner = imports.create_import(dataset=dataset, name="songs.csv", lines=lines, by=curator)
    client.force_login(curator)
    page = text(client.get(f"/imports/{owner.pk}/"))
    assert "Rara · pop · Indonesia · 0:10–1:10 · id: x1" in page and "The same external id as in line 2" in page
    imports.bring_in(owner, owner.rows.get(refusal=""))
    track = Track.objects.get()
    assert (track.genre, track.country, track.reference) == ("pop", "Indonesia", "x1")
    page = text(client.get(f"/tracks/{track.pk}/"))
    assert "Id in its list" in page and "Stretch of the original" in page


def test_names_of_columns_are_read_as_people_write_them_and_what_is_not_used_is_said(client, dataset, curator):
    data = b"\n,,,\nURL,External ID,Mood,start-time\nhttps://youtu.be/abcdefghijk,x1,sad,1:00\n"
    [line] = lists.read_table(data, "songs.csv")
    assert (line.external_id, line.start_s) == ("x1", 60)
    client.force_login(curator)
    page = client.post("/imports/", {"dataset": dataset.pk, "table": SimpleUploadedFile("songs.csv", data)}, follow=True)
    assert "Nothing is taken from the columns: Mood." in text(page)


def test_an_address_that_carries_what_nobody_sees_is_read():
    [line] = lists.read_lines("https://youtu.be/dQw4w9WgXcQ\u200b")
    assert line.address == "https://youtu.be/dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("99999999,999999999999,", "It begins at 27777:46:39: later than a recording that is taken can end (60 minutes)"),
        ("0,0.1,", "Its stretch is 0.1 seconds long; “Songs” takes none shorter than 0.5 seconds"),
        ("0,359999,", "Its stretch is 99:59:59 long; none longer than 1:00:00 is taken"),
        (",," + "x" * 10_000, "Column external_id has 10,000 letters; at most 100 are kept"),
    ],
)
def test_a_row_that_can_never_come_in_is_refused_in_the_preview(dataset, curator, row, why):
    lines = lists.read_table(f"url,start,end,external_id\nhttps://youtu.be/abcdefghijk,{row}\n".encode(), "songs.csv")
    owner = imports.create_import(dataset=dataset, name="songs.csv", lines=lines, by=curator)
    assert why in owner.rows.get().refusal


def test_characters_that_turn_a_line_around_are_left_out():
    line = lists.read_table("url,artist\nhttps://youtu.be/abcdefghijk,\u202eevil\u2066 RTL\n".encode(), "songs.csv")[0]
    assert line.artist == "evil RTL"


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (75, "1:15"), (75.5, "1:15.5"), (3675, "1:01:15"), (59.999, "1:00")])
def test_times_are_written_as_they_are_read(seconds, words):
    assert lists.as_clock(seconds) == words and lists.seconds(words) == pytest.approx(seconds, abs=0.01)


def test_the_way_through_the_pages(client, curator, dataset):
    client.force_login(curator)
    table = SimpleUploadedFile("songs.csv", "\n".join(",".join(row) for row in [HEAD, *ROWS]).encode())
    page = client.post("/imports/", {"dataset": dataset.pk, "table": table, "addresses": ""}, follow=True)
    assert "Bring in 1 track" in text(page) and "not after the start" in text(page)
    owner = Import.objects.get()
    assert "There is no address" in text(client.get(f"/imports/{owner.pk}/?outcome=refused"))
    client.post(f"/imports/{owner.pk}/confirm/")
    assert "is To be confirmed" not in text(client.post(f"/imports/{owner.pk}/confirm/", follow=True))
    queue.run_job(Job.objects.get(task=imports.RUN).pk, jobs.run_import)
    track = Track.objects.get()
    assert (track.start_s, track.end_s) == (30, 75.5)
    Track.objects.update(state="failed", reason="Video unavailable")
    Job.objects.filter(subject="track").update(state="failed")
    assert "Video unavailable" in text(client.get(f"/imports/{owner.pk}/?outcome=failed"))
    client.post(f"/imports/{owner.pk}/retry/")
    assert Job.objects.get(subject="track").state == "queued"
    assert "one of the two" in text(client.post("/imports/", {"dataset": dataset.pk}))


def test_a_list_can_be_thrown_away_only_before_it_came_in(client, curator, dataset):
    client.force_login(curator)
    owner = make(dataset, IDS[0])
    client.post(f"/imports/{owner.pk}/discard/")
    assert not Import.objects.exists() and not ImportRow.objects.exists()
    other = make(dataset, IDS[1])
    run(other, curator)
    client.post(f"/imports/{other.pk}/discard/")
    assert Import.objects.filter(pk=other.pk).exists()


def test_a_list_that_stops_half_way_can_be_confirmed_again(dataset, curator):
    owner = make(dataset, "\n".join(IDS[:4]))
    job = imports.confirm(owner, by=curator)
    queue.cancel(job, by=curator)
    owner.refresh_from_db()
    assert owner.state == "preview"
    assert run(owner, curator).state == "done" and Track.objects.count() == 4


def test_the_queries_of_a_list_page_do_not_grow_with_the_list(client, curator, dataset, django_assert_max_num_queries):
    client.force_login(curator)
    owner = make(dataset, "\n".join(IDS))
    with django_assert_max_num_queries(14):
        client.get(f"/imports/{owner.pk}/")


VIDEO = "https://youtu.be/dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (f'url\ttitle\n{VIDEO}\t"Heroes\n{VIDEO}\tB\n'.encode(), "line 2: the table cannot be read from here on"),
        (f"url,title\n{VIDEO},Café 日本\n{VIDEO},bad".encode() + b"\xe9\n", "is not text"),
        (f"\ufeffurl,title\n{VIDEO},Caf".encode() + b"\xe9\n", "is not text"),
    ],
)
def test_a_quote_or_a_letter_that_is_broken_loses_no_row_silently(data, why):
    with pytest.raises(SourceRefused, match=why):
        lists.read_table(data, "list.tsv" if b"\t" in data else "list.csv")


@pytest.mark.parametrize(
    ("row", "why"),
    [(",x,,0", "The end"), (",x,1:-5,", "is no time"), (",x,1_0,2_0", "is no time"), (",Hello, World,5,6", "more cells")],
)
def test_a_row_with_an_odd_time_or_a_cell_too_many_says_so(row, why):
    [line] = lists.read_table(f"url,title,start,end\n{VIDEO}{row}\n".encode(), "list.csv")
    assert why in line.problem


def test_a_time_of_day_in_a_spreadsheet_is_not_guessed():
    from datetime import time

    found = lists.read_table(sheet(["url", "start"], [VIDEO, time(1, 15)], [VIDEO, time(0, 1, 15)]), "list.xlsx")
    assert "01:15 o'clock” in column start is no time" in found[0].problem
    assert (found[1].start_s, found[1].problem) == (75, "")


def test_two_columns_of_addresses_give_the_one_that_is_filled_in_and_excels_hint_is_followed():
    assert lists.read_table(f"link,url\n{VIDEO},\n".encode(), "list.csv")[0].address == VIDEO
    assert lists.read_table(f"sep=;\nurl;title\n{VIDEO};A\n".encode(), "list.csv")[0].title == "A"


def test_a_small_spreadsheet_with_millions_of_cells_is_not_parsed():
    import zipfile

    plain, wide = io.BytesIO(sheet(["url"])), io.BytesIO()
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(wide, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"<sheetData>", b"<sheetData>" + b"<row/>" * 4_000_000))
    with pytest.raises(SourceRefused, match="far more cells"):
        lists.read_table(wide.getvalue(), "list.xlsx")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"<{VIDEO}>", [(VIDEO, "")]),
        (f"1. {VIDEO}", [(VIDEO, "")]),
        (f"{VIDEO} https://youtu.be/9bZkp7q19f0", [(VIDEO, ""), ("https://youtu.be/9bZkp7q19f0", "")]),
        (f"{VIDEO} - Bengawan Solo", [(VIDEO, "Bengawan Solo")]),
        ("dQw4w9WgXcQ and more", [("dQw4w9WgXcQ and more", "")]),
    ],
)
def test_addresses_are_found_in_the_lines_people_paste(text, found):
    assert [(line.address, line.title) for line in lists.read_lines(text)] == found
