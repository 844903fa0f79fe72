"""Signals in what tools answered: failures of the agent (execution) and of its surroundings (environment).

A result gives one signal at most. What fits both layers counts for the surroundings: "rate limit exceeded for this
request" is nobody's wrong argument. (The open implementation counts such a result twice.)

Source: Signals 2026; the expressions are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from milepost.curation.signals.flat import Batch
from milepost.curation.signals.found import Found
from milepost.curation.signals.taxonomy import NUMBER

_STATUS = r"(?:status(?:[ _]code)?|http(?:/[0-9.]+)?|error(?:[ _]code)?|code)\W{0,4}"


@dataclass(frozen=True, slots=True)
class Sign:
    """What a result of some kind looks like: expressions in lower case, one a line, and how sure they are."""

    kind: str
    confidence: float
    lines: str

    @property
    def expression(self) -> str:
        """One RE2 expression; STATUS stands for the words before a status code."""
        return "|".join(line.strip() for line in self.lines.strip().splitlines()).replace("STATUS", _STATUS)


RATE_LIMIT = r"""
rate.?limit
too many requests
quota (?:exceeded|exhausted)
throttl(?:ed|ing)
STATUS429\b
"""
API_ERROR = r"""
internal (?:server )?error
service (?:is )?(?:temporarily )?unavailable
bad gateway
server error
upstream error
overloaded
STATUS50[0234]\b
"""
TIMEOUT = r"""
timed.?out
time.?out (?:error|exceeded|after|while|expired)
timeout(?:error|exception)
deadline exceeded
took too long
"""
NETWORK = r"""
connection (?:was )?(?:refused|reset|aborted|closed|error|failed)
connection ?error
network (?:error|is unreachable)
host unreachable
name resolution
could not resolve host
dns (?:error|failure)
ssl ?error
certificate verify failed
econn(?:refused|reset)
broken pipe
"""
MALFORMED = r"""
json ?decode ?error
invalid json
malformed (?:json|response|xml)
unexpected end of (?:json|input|file)
unexpected token
(?:could not|cannot|failed to|unable to) (?:parse|decode)
parse ?error
unparse?able
"""
OVERFLOW = r"""
context (?:length|window|size)
maximum context
max(?:imum)? (?:number of )?tokens
token limit
(?:input|prompt|request|output) (?:is )?too (?:long|large)
payload too large
"""
INVALID_ARGS = r"""
invalid (?:argument|parameter|input|value|format|type|field|request|option)
missing (?:\w+ ){0,3}(?:argument|parameter|field|value)
(?:argument|parameter|field)s? (?:\S+ )?(?:is|are) (?:required|missing|invalid)
validation ?error
bad request
unexpected keyword
typeerror
valueerror
must be (?:a|an|one of|between|greater|less|of type)\b
STATUS4(?:00|22)\b
"""
TOOL_NOT_FOUND = r"""
(?:no such|unknown|unrecogni[sz]ed|undefined|unsupported) (?:tool|function|action|command)
(?:tool|function|action) \S{0,60} ?(?:was |is )?(?:not (?:found|available|defined|supported)|does not exist|unknown)
"""
AUTH_MISUSE = r"""
unauthori[sz]ed
not authori[sz]ed
forbidden
(?:permission|access|authorization) denied
(?:invalid|expired|missing) (?:token|credentials|api.?key|password)
authentication (?:failed|required|error)
not (?:logged in|authenticated|allowed|permitted)
insufficient (?:permissions?|privileges)
STATUS40[13]\b
"""
STATE_ERROR = r"""
already (?:exists?|been|cancell?ed|completed|processed|returned|delivered|booked|closed|in use)
(?:invalid|wrong|illegal|inconsistent) (?:state|status)
cannot be (?:cancell?ed|modified|changed|returned|exchanged|updated|refunded|deleted)
not (?:pending|delivered|active|open|cancell?able|available|in progress)\b
precondition
not enough (?:balance|seats|funds|stock)
insufficient (?:balance|funds|stock)
"""
BAD_QUERY = r"""
(?:not|none|nothing) found\b
no (?:results?|matches|match|records?|rows|entries|items|documents?) (?:found|available|returned|matching)
0 results
does not exist
doesn.?t exist
no such \w+
syntax error
(?:empty|zero) results?
"""
SIGNS = (
    Sign("rate_limit", 0.95, RATE_LIMIT),
    Sign("api_error", 0.9, API_ERROR),
    Sign("timeout", 0.9, TIMEOUT),
    Sign("network", 0.9, NETWORK),
    Sign("malformed_response", 0.8, MALFORMED),
    Sign("context_overflow", 0.8, OVERFLOW),
    Sign("invalid_args", 0.85, INVALID_ARGS),
    Sign("tool_not_found", 0.95, TOOL_NOT_FOUND),
    Sign("auth_misuse", 0.85, AUTH_MISUSE),
    Sign("state_error", 0.7, STATE_ERROR),
    Sign("bad_query", 0.6, BAD_QUERY),
)
"""Kinds in order of precedence: exhaustion, then failure."""
_GROUPS = """
limi|ny r|ota |hrot|rnal|unav|d ga|r er|pstr|rloa|imed|ut e|ut a|ut w|meou|dlin|o lo|nnec
etwo|nrea|esol|dns |ssl |ssle|rtif|onnr|n pi|json|malf|nexp|pars|ecod|ntex|oken|o la|nval
miss|quir|idat|bad |peer|ueer|must|o su|nkno|nrec|ndef|nsup|t fo|t av|t de|t su|t ex|naut
t au|rbid|deni|xpir|uthe|t lo|t al|t pe|nsuf|lrea|rong|lleg|ncon|ot b|t ac|t op|t ca|t in
econ|t en| fou| ava| ret| mat|0 re|ynta|ty r|ro r|tatu|http|erro|code
"""
KEYS = tuple(_GROUPS.strip("\n").replace("\n", "|").split("|"))
"""Groups of four characters of which every text that an expression matches holds one: what holds none need not be
searched."""
_ANY = "|".join(sign.expression for sign in SIGNS)


def answered(batch: Batch, found: Found) -> None:
    """Failures and exhaustion in the answers of tools.

    Args:
        batch: the conversations.
        found: takes the signals, at most one per answer.
    """
    answers = batch.answers
    texts = pc.ascii_lower(answers.arrow())  # half the time of an expression that ignores case
    rows = np.flatnonzero(pc.match_substring_regex(texts, _ANY).to_numpy(zero_copy_only=False))
    candidates = texts.take(pa.array(rows))
    for sign in SIGNS:
        hits = pc.match_substring_regex(candidates, sign.expression).to_numpy(zero_copy_only=False)
        for row in rows[hits].tolist():
            found.add(int(answers.trace[row]), int(answers.place[row]), NUMBER[sign.kind], sign.confidence)
        rows = rows[~hits]
        candidates = candidates.filter(pa.array(~hits))
