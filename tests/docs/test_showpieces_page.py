from benchmarks.showpieces import KEPT, PACKAGED, PAGE, SECTIONS, page
from undiffuse.demo.showpiece import names


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m benchmarks.showpieces"


def test_what_was_recorded_is_on_the_page_and_can_be_played():
    recorded = {file.stem for file in KEPT.glob("*.json")}
    assert recorded <= set(SECTIONS) <= set(names())


def test_what_comes_with_the_package_is_what_was_recorded():
    for name, file in PACKAGED.items():
        assert file.read_bytes() == (KEPT / f"{name}.json").read_bytes()
