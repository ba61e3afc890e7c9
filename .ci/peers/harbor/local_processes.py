"""A Harbor environment whose commands are processes of this machine: no Docker, no sandbox.

For the live checks only. Paths that a container would own are folders below a
temporary one; Harbor's log folders are links into the trial, so logs appear
there while a trial runs, as with a mounted container.

    harbor run --env local_processes:LocalProcesses ...
"""

import asyncio
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities

OWNED = ("app", "harbor", "installed-agent", "logs", "solution", "tests")
IN_COMMAND = re.compile(r"(?<![\w./-])/(?=(?:%s)\b)" % "|".join(OWNED))


class LocalProcesses(BaseEnvironment):
    def __init__(self, *args, **kwargs):
        self._top = None
        self._running = set()
        super().__init__(*args, **kwargs)

    @staticmethod
    def type():
        return "local-processes"

    @property
    def capabilities(self):
        return EnvironmentCapabilities(mounted=True)

    def _validate_definition(self):
        pass

    def _place(self, path):
        return self._top / str(path).lstrip("/")

    async def start(self, force_build):
        self._top = Path(tempfile.mkdtemp(dir=os.environ["LIVE_ROOTS"]))
        for name in OWNED:
            (self._top / name).mkdir()
        for mount in self._mounts:
            place = self._place(mount["target"])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(mount["source"])
        prepare = self.environment_dir / "prepare.sh"
        if prepare.is_file():
            done = await self.exec(prepare.read_text())
            if done.return_code:
                raise RuntimeError(f"prepare.sh ended with {done.return_code}")

    async def stop(self, delete):
        for process in list(self._running):
            self._end(process)
        if delete and self._top:
            shutil.rmtree(self._top, ignore_errors=True)

    async def empty_dirs(self, dirs, *, chmod=True):
        # Harbor's own command replaces links, and the log folders are links here.
        for folder in dirs:
            place = self._place(folder)
            place.mkdir(parents=True, exist_ok=True)
            for entry in place.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        return None

    async def upload_file(self, source_path, target_path):
        target = self._place(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source_path, target)
        if target.suffix == ".sh":
            target.write_text(self._mapped(target.read_text()))

    async def upload_dir(self, source_dir, target_dir):
        for item in Path(source_dir).rglob("*"):
            if item.is_file():
                await self.upload_file(item, f"{target_dir}/{item.relative_to(source_dir)}")

    async def download_file(self, source_path, target_path):
        Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._place(source_path), target_path)

    async def download_dir(self, source_dir, target_dir):
        source = self._place(source_dir)
        if source.resolve() != Path(target_dir).resolve():
            shutil.copytree(source, target_dir, dirs_exist_ok=True)

    def _mapped(self, command):
        return IN_COMMAND.sub(f"{self._top}/", command)

    @staticmethod
    def _end(process):
        if process.returncode is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    async def exec(self, command, cwd=None, env=None, timeout_sec=None, user=None):
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            self._mapped(command),
            cwd=self._place(cwd or "/app"),
            env={"PATH": os.environ["PATH"], **(self._merge_env(env) or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._running.add(process)
        try:
            out, err = await asyncio.wait_for(process.communicate(), timeout_sec)
        except asyncio.TimeoutError:
            raise RuntimeError(f"the command took longer than {timeout_sec} s") from None
        finally:
            self._end(process)
            self._running.discard(process)
        return ExecResult(
            stdout=out.decode(errors="replace"),
            stderr=err.decode(errors="replace"),
            return_code=process.returncode,
        )
