"""Where loops differ: how a connection is reset, half closed, timed by what its kernel keeps, paused and resumed."""

import asyncio

import uvloop

from tests.proxy.test_requests import (
    test_a_body_is_invited_when_the_worker_is_there_to_take_it,
    test_a_body_that_drips_is_cut_although_each_byte_comes_in_time,
    test_a_caller_that_does_not_read_is_cut_and_charged_for_the_work,
    test_a_caller_that_reads_slowly_but_steadily_is_not_cut,
    test_a_free_call_whose_caller_left_ends_at_the_worker,
    test_a_head_that_does_not_end_is_cut,
    test_who_sends_on_behind_a_malformed_head_is_told_so_before_the_connection_ends,
)
from tests.proxy.test_streaming import (
    test_a_broken_body_looks_broken_to_an_old_client_too,
    test_a_chain_of_303_is_followed_and_stays_inside,
    test_a_worker_that_reads_slowly_slows_the_caller_down,
    test_bytes_that_nobody_asked_for_reach_nobody,
    test_early_hints_do_not_hide_the_answer,
    test_events_reach_the_caller_one_by_one,
    test_open_requests_are_finished_when_the_gateway_stops,
    test_the_first_byte_goes_out_before_the_last_byte_has_come_in,
)
from tests.test_money import test_a_success_costs_the_price

__all__ = [
    "test_a_body_is_invited_when_the_worker_is_there_to_take_it",
    "test_a_body_that_drips_is_cut_although_each_byte_comes_in_time",
    "test_a_broken_body_looks_broken_to_an_old_client_too",
    "test_a_caller_that_does_not_read_is_cut_and_charged_for_the_work",
    "test_a_caller_that_reads_slowly_but_steadily_is_not_cut",
    "test_a_chain_of_303_is_followed_and_stays_inside",
    "test_a_free_call_whose_caller_left_ends_at_the_worker",
    "test_a_head_that_does_not_end_is_cut",
    "test_a_success_costs_the_price",
    "test_a_worker_that_reads_slowly_slows_the_caller_down",
    "test_bytes_that_nobody_asked_for_reach_nobody",
    "test_early_hints_do_not_hide_the_answer",
    "test_events_reach_the_caller_one_by_one",
    "test_open_requests_are_finished_when_the_gateway_stops",
    "test_the_first_byte_goes_out_before_the_last_byte_has_come_in",
    "test_who_sends_on_behind_a_malformed_head_is_told_so_before_the_connection_ends",
]


async def test_it_is_really_uvloop() -> None:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
