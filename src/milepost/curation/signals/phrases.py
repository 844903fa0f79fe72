"""Phrases by which a user says that something goes wrong or right. English only; a list of another language takes
their place.

Each line is a phrase; words are compared without case, apostrophes and punctuation. "*" ends a phrase that says little
when something else follows ("i quit smoking"); "?" marks words that are said in passing more often than meant
("customer service"). Such hits have a confidence below `taxonomy.CERTAIN`.
"""

from __future__ import annotations

CORRECTION = """
no i meant
no i said
no i wanted
i meant to say
thats not what i
that is not what i
not what i asked
not what i meant
not what i wanted
not what i said
i didnt ask for
i did not ask for
i didnt say
i never said
i never asked
i already told you
i already said
as i said before
like i said
you misunderstood
you have misunderstood
youre not listening
you are not listening
you got it wrong
you got that wrong
you have the wrong
thats wrong
that is wrong
thats incorrect
that is incorrect
this is wrong
this is incorrect
wrong order
wrong one
wrong date
wrong item
wrong address
wrong flight
thats not right
that is not right
thats not correct
that is not correct
no thats not
not that one
the other one
i asked for
please read again
you are mistaken
youre mistaken
you made a mistake
you missed
"""
REPHRASE = """
let me rephrase
let me explain again
let me try again
let me clarify
let me put it
to clarify
to be clear
in other words
what i mean is
what i meant was
what im trying to say
what i am trying to say
what im asking
what i am asking
i will rephrase
ill rephrase
ill say it again
once again i
again i want
again i need
i repeat
"""
CLARIFICATION = """
what do you mean
what does that mean
what did you mean
i dont understand
i do not understand
i dont get it
i am confused
im confused
this is confusing
thats confusing
thats unclear
that is unclear
not clear to me
can you clarify
could you clarify
can you explain
could you explain
please explain
please clarify
im not sure what you
i am not sure what you
im lost
huh
come again
"""
ESCALATION = """
speak to a human
speak with a human
talk to a human
talk with a human
speak to a person
speak with a person
talk to a person
speak to a real
talk to a real
real person
real human
human agent
live agent
live person
speak to someone
speak with someone
talk to someone
speak to a manager
speak with a manager
talk to a manager
speak to your manager
talk to your manager
get me a manager
your supervisor
a supervisor
speak to a representative
talk to a representative
speak with a representative
speak to customer service
talk to customer service
transfer me to
connect me to
connect me with
escalate this
file a complaint
make a complaint
customer service ?
customer support ?
representative ?
manager ?
"""
QUIT = """
i give up *
i quit *
i am done *
im done *
forget it *
just forget it *
never mind *
nevermind *
lets stop here
stop this conversation
end this conversation
im leaving *
i am leaving *
not worth it *
waste of my time *
i will go elsewhere
ill go elsewhere
take my business elsewhere
im out *
goodbye forever
"""
NEGATIVE_STANCE = """
this is useless
you are useless
youre useless
completely useless
this is ridiculous
thats ridiculous
this is absurd
this is unacceptable
unacceptable
this is terrible
terrible service
terrible experience
this is awful
awful service
horrible service
this is horrible
worst service
the worst
so frustrating
very frustrating
really frustrating
this is frustrating
im frustrated
i am frustrated
im angry
i am angry
im upset
i am upset
very disappointed
im disappointed
i am disappointed
disappointing
wasting my time
waste of time
this is a joke
this is nonsense
doesnt make sense
fed up
sick of this
i hate this
how hard can it be
pathetic
incompetent
"""
GRATITUDE = """
thank you
thanks
thank u
thx
many thanks
much appreciated
i appreciate
appreciate it
appreciate your help
very helpful
so helpful
youve been helpful
you have been helpful
great help
great job
good job
well done
you are the best
youre the best
youre awesome
"""
CONFIRMATION = """
yes please
yes thats right
yes that is right
yes thats correct
yes that is correct
thats right
that is right
thats correct
that is correct
that looks right
looks good
sounds good
sounds great
sounds perfect
that works for me
go ahead
please proceed
yes proceed
yes go ahead
exactly
perfect
absolutely
yes i confirm
i confirm
i agree
"""
SUCCESS = """
it worked
that worked
this worked
it works
that works
it works now
works now
working now
problem solved
issue resolved
that solved
this solved
that fixed it
that fixed
it is fixed
its fixed
fixed now
all set
got it working
that did it
that did the trick
thats what i needed
that is what i needed
exactly what i needed
just what i needed
that is all i needed
thats all i needed
"""
LISTS = {
    "correction": CORRECTION, "rephrase": REPHRASE, "clarification": CLARIFICATION, "escalation": ESCALATION,
    "quit": QUIT, "negative_stance": NEGATIVE_STANCE, "gratitude": GRATITUDE, "confirmation": CONFIRMATION,
    "success": SUCCESS,
}  # fmt: skip
"""Kind to its phrases; of misalignment the first kind that fits a message counts."""
_NEGATORS = """
not never dont didnt doesnt isnt arent wasnt werent wont cant cannot couldnt wouldnt shouldnt havent hasnt hadnt
hardly without neither nor
"""
_OBJECTS = """
this it that here now then already trying please ok okay with so and but because bye thanks
"""
_POSITIVE = """
yes yeah yep ok okay sure great good perfect thanks thank awesome excellent wow yay
"""
_STOP_WORDS = """
a an the and or but if then so of to in on at for from with by as is are was were be been am do does did have has had i
me my you your he she it its we our they their this that these those there here what which who when where how can could
would should will may might must not no yes please just also very too up out about into than
"""
NEGATORS = frozenset(_NEGATORS.split())
"""Words that turn a phrase around when they stand shortly before it."""
OBJECTS = frozenset(_OBJECTS.split())
"""Words that may follow a phrase marked "*" without changing what it means."""
POSITIVE = frozenset(_POSITIVE.split())
"""A message that begins with one of these is no complaint, whatever its punctuation."""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing about what a message is about."""
