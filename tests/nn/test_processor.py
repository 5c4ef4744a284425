import pytest

from lstmega.nn import processor

CPUINFO = "processor\t: 0\nmodel name\t: EPYC\nflags\t\t: fpu avx512f avx512_bf16 sse\n"


@pytest.mark.parametrize(
    ("content", "native"),
    [
        (CPUINFO, True),
        (CPUINFO.replace("avx512_bf16", "amx_bf16"), True),
        (CPUINFO.replace("avx512_bf16", "avx512_bf16x"), False),
        ("processor : 0\nFeatures\t: fp asimd bf16 i8mm\n", False),  # not measured there
        ("model name: avx512_bf16\n", False),
        ("", False),
        (None, False),
    ],
)
def test_the_processor_says_what_it_can(content, native, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(processor, "_FILE", path)
    assert processor.multiplies_bfloat16() is native


def test_the_first_processor_is_described(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor : 0\nmodel name\t: A: b\nflags\t\t: fpu avx2\n\nprocessor : 1\nflags : fpu\n"
    )
    monkeypatch.setattr(processor, "_FILE", path)
    assert processor.fields()["model name"] == "A: b"
    assert processor.instructions() == {"fpu", "avx2"}
