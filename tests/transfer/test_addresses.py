from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.transfer.addresses import (
    file_name_of,
    local_path,
    network_of,
    next_hop,
    parse_address,
    place_of,
    redacted,
)
from zoo_cli.transfer.failures import BadAddress, RedirectRefused


def test_an_address_is_taken_apart() -> None:
    address = parse_address("https://me:p%40ss@Example.org:8443/a%2Bb/c?d=1#part")
    assert (address.scheme, address.host, address.port) == ("https", "example.org", 8443)
    assert address.target == "/a%2Bb/c?d=1"
    assert address.credentials == "me:p@ss"
    assert address.url == "https://example.org:8443/a%2Bb/c?d=1"
    assert parse_address("http://[::1]/x").authority == "[::1]"
    assert parse_address("http://bücher.example/ü").url == "http://xn--bcher-kva.example/%C3%BC"


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "ftp://h/x", "http://", "http:///x", "https://h:99999/", "https://h:0/", "http://h/a b",
        "http://h/a\r\nX: y", "http://h\x00/", "http://a_b<c/", "http://" + "h" * 9000, "http://[::1", "javascript:x",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)


@given(
    st.from_regex(r"\Ahttps?://[a-z0-9.-]{1,8}(:[0-9]{1,5})?(/[A-Za-z0-9._~%+@:,=/?;-]{0,9}){0,3}\Z"),
)
def test_a_plain_address_is_read_as_any_other(text: str) -> None:
    """With a fragment, which is not sent, it is read the long way."""
    try:
        long_way = parse_address(text + "#part")
    except BadAddress:
        with pytest.raises(BadAddress):
            parse_address(text)
        return
    assert parse_address(text) == long_way


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = parse_address("https://" + text)
    except BadAddress:
        return
    assert parse_address(address.url).url == address.url
    assert address.url.isascii() and " " not in address.url and "\n" not in address.url


def test_a_redirect_keeps_credentials_only_at_its_origin() -> None:
    start = parse_address("https://me:secret@host/x")
    assert next_hop(start, "/y").credentials == "me:secret"
    assert next_hop(start, "https://host:443/y").credentials == "me:secret"
    assert next_hop(start, "https://host:444/y").credentials is None
    assert next_hop(start, "https://other/y").credentials is None
    assert next_hop(parse_address("http://host/x"), "https://host/y").url == "https://host/y"


@pytest.mark.parametrize(
    "location",
    ["http://host/y", "file:///etc/passwd", "ftp://host/y", "https://u:p@host/y", "https://h\n/y", "data:,x"],
)
def test_a_redirect_elsewhere_is_refused(location: str) -> None:
    with pytest.raises(RedirectRefused):
        next_hop(parse_address("https://host/x"), location)


@pytest.mark.parametrize(
    ("ip", "kind"),
    [
        ("8.8.8.8", "public"), ("2606:4700::1111", "public"), ("127.0.0.1", "private"), ("10.1.2.3", "private"),
        ("192.168.0.1", "private"), ("100.64.0.1", "private"), ("::1", "private"), ("fd12::1", "private"),
        ("169.254.169.254", "never"), ("fe80::1", "never"), ("fe80::1%eth0", "never"), ("224.0.0.1", "never"),
        ("ff02::1", "never"), ("0.0.0.0", "never"), ("::", "never"), ("fd00:ec2::254", "never"),
        ("100.100.100.200", "never"), ("::ffff:169.254.169.254", "never"), ("::ffff:127.0.0.1", "private"),
        ("64:ff9b::a9fe:a9fe", "never"), ("2002:a9fe:a9fe::1", "never"), ("::ffff:8.8.8.8", "public"),
    ],
)  # fmt: skip
def test_networks_are_told_apart(ip: str, kind: str) -> None:
    assert network_of(ip) == kind


def test_what_is_a_local_path() -> None:
    assert local_path("file:///srv/a%2Bb.whl") == "/srv/a+b.whl"
    assert local_path("file://localhost/x") == "/x"
    assert local_path("./x/y.whl") == "./x/y.whl"
    assert local_path("C:\\x") == "C:\\x"
    assert local_path("https://h/x") is None
    assert local_path("s3://bucket/x") is None
    with pytest.raises(BadAddress):
        local_path("file://other/x")


def test_secrets_are_not_shown() -> None:
    shown = redacted("https://me:pw@h/x?a=1&X-Amz-Signature=abc&token=t#f")
    assert shown == "https://h/x?a=1&X-Amz-Signature=...&token=...#f"
    assert place_of("https://me:pw@h:444/x") == "h:444"
    assert place_of("/x/y") == "file:"


def test_the_name_of_the_file_in_an_address() -> None:
    assert file_name_of("https://h/x/torch-2.1.2%2Bcu121.whl?download=1#f") == "torch-2.1.2+cu121.whl"
    assert file_name_of("/x/y.pth") == "y.pth"
    assert file_name_of("https://h/") == ""
