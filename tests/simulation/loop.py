"""An event loop in virtual time, and threads that run one at a time.

Waiting advances the clock and takes no time. A function for a thread runs in a real one, but only
while the loop waits for it: the thread hands back at each `pause`, and continues when the loop's
clock has reached the end of the pause. So there is one order of events, which the pauses determine.

Callbacks and threads belong to the host in whose context they were created. A suspended host runs
nothing until it is resumed, and a dead host nothing until the end of the loop.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from concurrent.futures import Future as ThreadFuture
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple

from tests.simulation.hosts import HOST, Callback, Host, KilledError

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


# How long cancelled tasks may take to end.
_TO_END_SECONDS = 1000.0


class HangError(AssertionError):
    """A task waits, and there are no more events."""


class _NoSockets:
    """The selector of the loop: it advances the time at once."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise HangError("nothing is left that could happen")
        self._loop.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `now` is its time, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.jobs: dict[Job, None] = {}
        self._ending = False
        self._selector = _NoSockets(self)

    def time(self) -> float:
        return self.now

    def _process_events(self, event_list: object) -> None:
        """Do nothing: there are none."""

    def _write_to_self(self) -> None:
        """Do nothing: no thread runs while the loop waits."""

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        context = context or copy_context()
        host = context.get(HOST)
        if host is None:
            return super().call_soon(callback, *args, context=context)
        return self.run_soon(Callback(host, callback, args, context))

    def run_soon(self, callback: Callback) -> asyncio.Handle:
        callback.handle = super().call_soon(callback, context=callback.context)
        return callback.handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        host = context.get(HOST)
        if host is None:
            return super().call_at(when, callback, *args, context=context)
        of_host = Callback(host, callback, args, context)
        of_host.handle = handle = super().call_at(when, of_host, context=context)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> "asyncio.Future[Result]":
        """Run `func` in a thread. The executor is ignored."""
        del executor
        if self._ending:
            return self._never()
        return Job(self, func, args).result

    def _never(self) -> "asyncio.Future[Any]":
        future = self.create_future()
        future.set_exception(KilledError())
        return future

    def end(self, hosts: Iterable[Host]) -> None:
        """End the remaining threads with a `KilledError` at their pause, and cancel the tasks."""
        self._ending = True
        for job in list(self.jobs):
            job.kill()
        tasks = asyncio.all_tasks(self)
        for host in hosts:
            host.dead = False
            host.resume(self.run_soon)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks, timeout=_TO_END_SECONDS))
        self.close()


_thread = threading.local()


class Job:
    """A function in a thread of its own, which runs only between `_hand_over` and `_hand_back`."""

    def __init__(self, loop: VirtualLoop, function: Callable[..., Any], args: Any) -> None:
        self.result: asyncio.Future[Any] = loop.create_future()
        self.quiet = False
        self._loop = loop
        self._context = copy_context()
        self._host = HOST.get()
        self._killed = False
        self._turn = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._until: float | asyncio.Future[Any] | None = None
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._thread = threading.Thread(
            target=lambda: self._context.run(self._run, function, args), daemon=True
        )
        loop.jobs[self] = None
        self._thread.start()
        loop.call_soon(self._hand_over)

    def pause(self, seconds: float) -> None:
        """Continue after this time. Called in the thread."""
        self._hand_back(self._loop.now + seconds)

    def wait(self, future: "asyncio.Future[Result]") -> Result:
        """Continue when the future is done. Called in the thread."""
        if not future.done():
            self._hand_back(future)
        return future.result()

    def kill(self) -> None:
        """End the thread at its pause."""
        self._killed = True
        while self._outcome is None:
            self._switch()
        self.result.cancel()

    def _run(self, function: Callable[..., Any], args: Any) -> None:
        _thread.job = self
        self._turn.acquire()
        try:
            if self._killed:
                raise KilledError  # noqa: TRY301 - it ends here, too
            self._outcome = function(*args), None
        except BaseException as error:  # noqa: BLE001 - all is passed on
            self._outcome = None, error
        self._back.release()

    def _hand_back(self, until: "float | asyncio.Future[Any]") -> None:
        if self._killed:
            raise KilledError
        self._until = until
        self._back.release()
        self._turn.acquire()
        if self._killed or (self._host is not None and self._host.dead):
            raise KilledError

    def _switch(self) -> None:
        self._turn.release()
        self._back.acquire()
        if self._outcome is not None:
            self._thread.join()
            del self._loop.jobs[self]

    def _hand_over(self) -> None:
        """Run the thread until it hands back. Called by the loop."""
        if self._outcome is not None:
            return  # it was killed meanwhile
        self._switch()
        self._go_on()

    def _go_on(self) -> None:
        if self._outcome is not None:
            self._finish(*self._outcome)
        elif isinstance(self._until, asyncio.Future):
            self._until.add_done_callback(lambda _: self._hand_over())
        elif self._until is not None:
            self._loop.call_at(self._until, self._hand_over)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        if self.result.done():
            return
        if error is None:
            self.result.set_result(value)
        else:
            self.result.set_exception(error)


def current_job() -> Job:
    """Return the job of the calling thread. Blocking calls are not allowed elsewhere."""
    job: Job | None = getattr(_thread, "job", None)
    if job is None:
        raise AssertionError("a blocking call on the event loop")
    return job


def run_coroutine_threadsafe(
    coroutine: Coroutine[Any, Any, Result], loop: VirtualLoop
) -> "ThreadFuture[Result]":
    """Replaces asyncio's function: `result()` hands back to the loop instead of blocking it."""
    return _Waited(loop.create_task(coroutine))


class _Waited(ThreadFuture[Result]):
    def __init__(self, task: "asyncio.Task[Result]") -> None:
        super().__init__()
        self._task = task

    def result(self, timeout: float | None = None) -> Result:
        del timeout
        return current_job().wait(self._task)


class VirtualClock:
    """The clocks of all hosts."""

    EPOCH_SECONDS = 2_000_000_000

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.now

    def now_ms(self) -> int:
        return round((self.EPOCH_SECONDS + self._loop.now) * 1000)

    def sleep(self, seconds: float) -> None:
        current_job().pause(seconds)
