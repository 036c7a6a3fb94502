import pytest

from datasets.methods.youtube import AddressRefused, video_id


@pytest.mark.parametrize(
    "address",
    [
        "https://www.youtube.com/watch?v=-bWEtTTXHyI",
        "http://youtube.com/watch?list=PL123&v=-bWEtTTXHyI&t=30",
        "https://youtu.be/-bWEtTTXHyI?si=abc",
        "youtu.be/-bWEtTTXHyI",
        "https://m.youtube.com/watch?v=-bWEtTTXHyI",
        "https://music.youtube.com/watch?v=-bWEtTTXHyI",
        "https://www.youtube.com/shorts/-bWEtTTXHyI",
        "https://www.youtube.com/embed/-bWEtTTXHyI",
        "https://www.youtube-nocookie.com/embed/-bWEtTTXHyI",
        "  https://www.youtube.com/live/-bWEtTTXHyI  ",
    ],
)
def test_every_common_form_of_a_video_gives_its_id(address):
    assert video_id(address) == "-bWEtTTXHyI"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/watch?v=-bWEtTTXHyI",
        "https://youtube.com.evil.example/watch?v=-bWEtTTXHyI",
        "https://youtube.com@evil.example/watch?v=-bWEtTTXHyI",
        "file:///etc/passwd",
        "http://169.254.169.254/watch?v=-bWEtTTXHyI",
        "https://www.youtube.com/results?search_query=x",
        "https://www.youtube.com/watch?v=short",
        "https://www.youtube.com/watch?v=--exec+rm+-rf",
        "https://www.youtube.com/",
        "",
        "--help",
    ],
)
def test_everything_else_is_refused_by_name(address):
    with pytest.raises(AddressRefused) as refused:
        video_id(address)
    assert address in str(refused.value)
