"""The texts of the demo documents."""
# ruff: noqa: E501 - a paragraph of a document is one line

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DemoDocument:
    title: str
    author: str
    edited_by: tuple[str, ...] = ()
    minutes_ago: int
    body: str


# Oldest first.
DOCUMENTS = (
    DemoDocument(
        title="How we write documents here",
        author="ada",
        edited_by=("bob",),
        minutes_ago=9 * 24 * 60,
        body="""One document, one question. The first paragraph answers it; the rest says why.

Write for the colleague who joins next month. If a sentence needs the meeting it came from, it is not finished.

Anybody may edit anything. If somebody is in a document already, the badge beside its title says so. If you both save, you will see both versions next to each other, and nothing is lost.""",
    ),
    DemoDocument(
        title="Office plants: who waters what",
        author="eve",
        edited_by=("ada", "bob"),
        minutes_ago=6 * 24 * 60,
        body="""Kitchen: the monstera, Mondays. It likes the window but not the sun.
Meeting room 2: three ferns, Mondays and Thursdays.
Entrance: the olive tree, every second Friday, one full can.

Please cross yourself out before a holiday, not after it.""",
    ),
    DemoDocument(
        title="Incident review: the slow Tuesday",
        author="bob",
        edited_by=("ada",),
        minutes_ago=4 * 24 * 60,
        body="""Summary
Between 09:12 and 09:47 pages took up to eleven seconds. No data was lost. 214 people noticed, 9 wrote to us.

What happened
A report that normally runs at night was started by hand in the morning. It held a lock on the invoices table, and the requests behind it filled the connection pool.

What went well
The alert came after two minutes. The first guess was right.

What we change
The report runs on the replica. It has a statement timeout of thirty seconds. Starting it by hand asks for a reason.""",
    ),
    DemoDocument(
        title="Interview guide for backend engineers",
        author="ada",
        minutes_ago=3 * 24 * 60 + 130,
        body="""Forty minutes, two people, one exercise from our own code.

1. Ten minutes: something they built and would build differently today.
2. Twenty minutes: read a function together. It has two bugs; finding one is plenty.
3. Ten minutes: their questions. The best part of the interview, so do not let the exercise eat it.

Write your notes before you talk to each other.""",
    ),
    DemoDocument(
        title="Pricing page: copy for spring",
        author="eve",
        edited_by=("bob", "eve"),
        minutes_ago=26 * 60,
        body="""Headline
Everybody on the same page, at the same moment.

Below it
Start with three people for free. Pay per person from the fourth. Leave whenever you like and take everything with you.

Open question
Do we show yearly prices first? Bob says yes, the numbers from autumn say it makes no difference.""",
    ),
    DemoDocument(
        title="Release checklist",
        author="bob",
        edited_by=("ada", "eve", "bob"),
        minutes_ago=5 * 60,
        body="""[ ] The changelog says what a user gains, in a user's words
[ ] Migrations run on a copy of last night's backup
[ ] Two people have clicked through the page on a phone
[ ] The on-call person knows, and agrees
[ ] Tag, build, deploy to the first node, wait ten minutes
[ ] Deploy to the rest
[ ] Say so in the channel, with a link to the changelog""",
    ),
    DemoDocument(
        title="Agenda: Thursday planning",
        author="ada",
        edited_by=("eve",),
        minutes_ago=48,
        body="""10:00  What we promised last week, and what became of it (eve)
10:15  Search: ship it with the old ranking, or wait two weeks? (bob)
10:35  Support: the three questions we answer most (ada)
10:50  Who is away in December

Add your point with your name behind it. No name, no minutes.""",
    ),
    DemoDocument(
        title="Customer notes: Harbour Logistics",
        author="bob",
        edited_by=("ada",),
        minutes_ago=12,
        body="""Forty people in three harbours, all of them on tablets, half of them outdoors.

They keep one document per ship. The night shift writes, the morning shift reads, and around six both are in the same document at once. That hour decides whether they stay with us.

They ask for
- a bigger font in the evening
- a list of who changed what since yesterday
- nothing else, "please, nothing else"

Next call: Wednesday, 14:00, with the harbour master.""",
    ),
)
