"""English function words: articles, pronouns, prepositions, auxiliary verbs."""

FUNCTION_WORDS = frozenset(
    "a about am an and any are as at be been being but by can could did do does doing for from had"
    " has have having he her hers him his how i if in into is it its let may me might must my no"
    " nor not of off on or our ours she should so some such than that the their theirs them then"
    " there these they this those to too us was we were what when where which while who whom whose"
    " why will with would you your yours".split()
)
