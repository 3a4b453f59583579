"""The chapter of the back-fill: everybody is assigned at full speed, until the server says 429."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from simulator.client import Client
from simulator.exchange import Exchange, Misbehaviour
from simulator.people import Person
from simulator.stage import Stage

THREADS = 8
# So many look-ups are made, if need be, to meet the limit of the token.
MOST_LOOKUPS = 2_000


def back_fill(stage: Stage[Client]) -> None:
    """Assign everybody at full speed, back off when told to, and import all users again."""
    started = time.perf_counter()
    with stage.narrator.muted() as exchanges, stage.narrator.progress("Assigned", len(stage.others)) as progress:
        _assign_all(stage, progress.step)
        if not stage.client.back_offs:
            _look_up_until_throttled(stage.client, stage.others)
    _tell_speed(stage, exchanges, time.perf_counter() - started)
    imported = {user["id"]: user for user in stage.client.import_users()}
    lost = [user_id for user_id in stage.active if not imported.get(user_id, {}).get("active")]
    if lost:
        raise Misbehaviour(f"The import lacks {len(lost)} assigned people, {lost[0]} for one.")
    stage.narrator.say(f"An import of everybody finds all {len(stage.active)} of them, each on one page only.")
    stage.tell_learned()


def _assign_all(stage: Stage[Client], step: Callable[[], None]) -> None:
    with ThreadPoolExecutor(THREADS) as executor:
        tasks = {executor.submit(stage.client.assign, person): person for person in stage.others}
        try:
            for task in as_completed(tasks):
                stage.note_assignment(tasks[task], task.result())
                step()
        except Misbehaviour:
            executor.shutdown(cancel_futures=True)
            raise


def _look_up_until_throttled(client: Client, people: Sequence[Person]) -> None:
    """Ask as fast as several connections can, since the limit was not met yet."""

    def look_up(number: int) -> None:
        if not client.back_offs:
            client.find_user(people[number % len(people)].user_name)

    with ThreadPoolExecutor(THREADS) as executor:
        for _ in executor.map(look_up, range(MOST_LOOKUPS)):
            pass


def _tell_speed(stage: Stage[Client], exchanges: Sequence[Exchange], seconds: float) -> None:
    answered = sorted(exchange.milliseconds for exchange in exchanges if exchange.status != 429)
    median, slow = answered[len(answered) // 2], answered[len(answered) * 99 // 100]
    stage.narrator.say(
        f"{len(answered)} requests answered in {seconds:.1f} s over {THREADS} connections:"
        f" half of them within {median:.0f} ms, 99 % within {slow:.0f} ms."
    )
    back_offs = stage.client.back_offs
    if back_offs:
        longest = max(back_off.waited for back_off in back_offs)
        stage.narrator.say(
            f"{len(back_offs)} times 429 rate_limited, with a whole number in Retry-After;"
            f" {stage.client.name} waited each time (at most {longest} s) and got through with everything."
        )
    else:
        stage.narrator.say("No 429 came: the limit of the token lies above what this machine can do.")
