"""Whatever a prompt's text is, a JSONL file of it is read as it was written."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from autotuner.benchmark.traffic.datasets import read_dataset

TEXTS = st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True)


@given(texts=TEXTS, escaped=st.booleans(), between=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_texts_come_back_as_they_were_written(texts: list[str], escaped: bool, between: str) -> None:
    lines = [json.dumps({"prompt": text, "output_tokens": 1}, ensure_ascii=escaped) for text in texts]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.jsonl"
        path.write_bytes(between.join(lines).encode())
        assert {shape.content for shape in read_dataset(str(path), 0).shapes} == set(texts)
