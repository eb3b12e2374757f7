# SPDX-License-Identifier: Apache-2.0
"""Faults injected: memory refused, files cut short and replaced while in use, a full disk, signals, forks, ends of
interpreters. Each gives an error or a result, never a crash, a leak or half a file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from support.nna_models import load_random, noise, random_file

import pynna
from pynna.errors import ForeignFileError, ShortFileError

SUPPORT = Path(__file__).parent / "support"
linux = pytest.mark.skipif(sys.platform != "linux", reason="preloading as Linux does it")


def run(program: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A program in a Python of its own."""
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program), *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(pynna.__file__).parents[1]), *sys.path])}
    options.setdefault("cwd", SUPPORT)  # not the source tree, which holds no built extension
    env |= options.pop("env", {})  # type: ignore[arg-type]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, **options)  # type: ignore


# ---- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cut", "overwritten", "replaced", "removed"])
def test_a_model_outlives_its_file(tmp_path: Path, how: str) -> None:
    model = load_random(tmp_path)
    pcm = noise(1.0)
    before = model.transcribe(pcm).text
    path = tmp_path / "random_32.nna"
    if how == "cut":
        os.truncate(path, 0)
    elif how == "overwritten":
        path.write_bytes(bytes(path.stat().st_size))
    elif how == "replaced":
        (tmp_path / "other").write_bytes(b"something else")
        os.replace(tmp_path / "other", path)
    else:
        path.unlink()
    assert model.transcribe(pcm).text == before


def test_a_file_that_shrinks_while_it_is_read_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nna"
    path.write_bytes(random_file(8))
    told = os.fstat

    def longer(descriptor: int) -> os.stat_result:
        return os.stat_result([x + 1000 if i == 6 else x for i, x in enumerate(told(descriptor))])

    pynna.load(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1000])
    monkeypatch.setattr(os, "fstat", longer)
    with pytest.raises(ShortFileError):
        pynna.load(path)


def test_a_huge_file_of_another_kind_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse.nna"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ForeignFileError):
        pynna.load(path)


def test_on_a_full_disk_no_half_file_is_left(tmp_path: Path) -> None:
    made = run(
        """
        import resource, signal, sys
        from pathlib import Path
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        from support.nna_models import random_model
        from pynna.mapping.nna import write_nna
        path = Path(sys.argv[1]) / "a.nna"
        path.write_bytes(b"before")
        try:
            write_nna(random_model(16), path)
        except OSError as error:
            print("refused", path.read_bytes(), sorted(p.name for p in path.parent.iterdir()))
        """,
        str(tmp_path),
    )
    assert made.stdout == "refused b'before' ['a.nna']\n", made.stderr


# ---- memory -----------------------------------------------------------------------------------------------------


@linux
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_python_gives_back_all_when_memory_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "refusing.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", str(SUPPORT / "refusing.c"), "-o", str(library), "-ldl"], check=True
    )
    path = tmp_path / "a.nna"
    path.write_bytes(random_file(16))
    tortured = run(
        """
        import ctypes, gc, sys
        import numpy as np, pynna
        from pynna.grammar import Grammar
        from support.nna_models import noise
        shim, pcm = ctypes.CDLL(None), noise(0.5)
        def session():
            model = pynna.load(sys.argv[1], threads=2)
            model.transcribe(pcm)
            model.transcribe(pcm, beam_width=8, hot_words={"on": 2.0})
            model.transcribe(pcm, grammar=Grammar.from_sentences(["turn on the light", "turn off"]))
        session(); gc.collect()
        before, refused = shim.live_blocks(), 0
        for i in range(1000):
            shim.refuse(i)
            try:
                session()
            except MemoryError:
                refused += 1
            done = shim.refuse_left() >= 0
            shim.refuse(-1)
            gc.collect()
            assert shim.live_blocks() <= before, (i, shim.live_blocks(), before)
            if done:
                break
        print(refused, "refused", i)
        """,
        str(path),
        env={"LD_PRELOAD": str(library)},
    )
    assert tortured.returncode == 0, tortured.stderr
    refused, _, tried = tortured.stdout.split()
    assert int(refused) == int(tried) > 8


# ---- signals, forks, ends ---------------------------------------------------------------------------------------


def test_an_interrupt_in_the_middle_leaves_the_model_usable(tmp_path: Path) -> None:
    model = load_random(tmp_path, 64)
    pcm = noise(0.3)
    want = model.transcribe(pcm).text
    seen, armed = 0, []

    def interrupt(*_: object) -> None:
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for i in range(30):
            try:
                armed.append(True)
                signal.setitimer(signal.ITIMER_REAL, 0.0005 * (i + 1))
                model.transcribe(noise(2.0))
                armed.clear()
            except KeyboardInterrupt:
                seen += 1
            armed.clear()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen > 0
    assert model.transcribe(pcm).text == want


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_say_the_same(tmp_path: Path, method: str) -> None:
    path = tmp_path / "a.nna"
    path.write_bytes(random_file(32))
    told = run(
        """
        import multiprocessing, sys
        import pynna
        from support.nna_models import noise
        model = pynna.load(sys.argv[1], threads=2)
        want = model.transcribe(noise(0.5)).text
        context = multiprocessing.get_context("fork")
        def child(queue): queue.put(model.transcribe(noise(0.5)).text)
        queue = context.Queue()
        process = context.Process(target=child, args=(queue,))
        process.start()
        got = queue.get(timeout=60)
        process.join()
        assert got == want
        print("the same")
        """
        if method == "fork"
        else """
        import subprocess, sys, pynna
        from support.nna_models import noise
        want = pynna.load(sys.argv[1], threads=2).transcribe(noise(0.5)).text
        code = "import sys, pynna; from support.nna_models import noise; " \\
               "print(repr(pynna.load(sys.argv[1], threads=2).transcribe(noise(0.5)).text))"
        got = subprocess.run([sys.executable, "-c", code, sys.argv[1]], capture_output=True, text=True)
        assert got.stdout.strip() == repr(want), got.stderr
        print("the same")
        """,
        str(path),
    )
    assert told.stdout == "the same\n", told.stderr


def test_threads_may_be_at_work_when_the_interpreter_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.nna"
    path.write_bytes(random_file(32))
    for _ in range(3):
        ended = run(
            """
            import sys, threading, time
            import pynna
            from support.nna_models import noise
            model = pynna.load(sys.argv[1], threads=2)
            def work():
                while True:
                    model.transcribe(noise(0.5))
            for _ in range(3):
                threading.Thread(target=work, daemon=True).start()
            time.sleep(0.3)
            """,
            str(path),
        )
        assert ended.returncode == 0, ended.stderr


def test_a_second_interpreter_in_the_process_is_refused_or_works() -> None:
    if sys.version_info >= (3, 13):
        pytest.skip("the module that makes them has another name")
    told = run(
        """
        import _xxsubinterpreters as interpreters
        one = interpreters.create()
        try:
            interpreters.run_string(one, "import pynna; pynna.load()")
            print("works")
        except interpreters.RunFailedError as error:
            print("refused", "ImportError" in str(error))
        """
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout in ("works\n", "refused True\n"), told.stdout


def test_samples_are_taken_as_they_were_fed(tmp_path: Path) -> None:
    """An array that another thread changes while it is heard: no crash, whatever the text."""
    model = load_random(tmp_path)
    pcm = noise(1.0)
    stream = model.stream()
    for start in range(0, len(pcm), 1600):
        stream.feed(pcm[start : start + 1600])
        pcm[:] = np.roll(pcm, 7)
    stream.finish()
