# SPDX-License-Identifier: Apache-2.0
"""Calls and messages."""

from __future__ import annotations

from pynna.assistant.actions.base import ActionContext, Answer, action, named
from pynna.assistant.car import Car


def _call(car: Car, contact: str) -> Answer:
    if not contact:
        return car.changed(view="phone"), "Nobody was called yet"
    return car.changed(view="phone", call=contact, last_call=contact, ringing=False), f"Calling {named(contact)}"


@action("Call")
def _call_contact(context: ActionContext) -> Answer:
    return _call(context.car, context.slots["contact"])


@action("CallRedial")
def _redial(context: ActionContext) -> Answer:
    return _call(context.car, context.car.last_call)


@action("CallAnswer")
def _answer(context: ActionContext) -> Answer:
    if not context.car.ringing:
        return context.car.changed(view="phone"), "Nobody is calling"
    return _call(context.car, context.car.last_call)[0], "Call accepted"


@action("CallEnd")
def _hang_up(context: ActionContext) -> Answer:
    was = context.car.call or context.car.ringing
    return context.car.changed(view="phone", call="", ringing=False), "Call ended" if was else "There is no call"


@action("ContactsShow")
def _contacts(context: ActionContext) -> Answer:
    return context.car.changed(view="phone"), "Here are your contacts"


@action("MessageRead")
def _messages(context: ActionContext) -> Answer:
    return context.car.changed(view="phone"), "There are no new messages"


@action("MessageSend")
def _message(context: ActionContext) -> Answer:
    contact = context.slots["contact"]
    return context.car.changed(view="phone", told=contact), f"I will tell {named(contact)} that you are on the way"
