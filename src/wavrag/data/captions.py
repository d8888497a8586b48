"""Captions of labelled sounds, for training and, in other words, for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

# Label: captions for training | captions held out for evaluation. The held-out ones avoid the words
# of the others, so that evaluation does not measure the recall of trained phrases.
_CLASSES = """
dog bark: dog bark, dog barking, barking dogs, a dog barks | a hound is barking, woof woof
rain: rain, rain falling, rainfall, heavy rain outside | it is raining, a rain shower
sea waves: sea waves, ocean waves, waves on the beach, surf | the sea at the shore, breakers
baby cry: baby cry, a baby crying, crying infant | a newborn wails, a child in tears
clock tick: clock tick, a clock ticking, ticking | the tick tock of a watch, a wall clock
person sneeze: person sneeze, someone sneezing, a sneeze | a man sneezes, achoo
helicopter: helicopter, a helicopter flying, helicopter rotor | a chopper overhead, rotor blades
chainsaw: chainsaw, a chainsaw running, cutting wood with a chainsaw | a motor saw felling a tree
rooster: rooster, a rooster crowing, cock crow | a cockerel at dawn, cock-a-doodle-doo
fire crackling: fire crackling, a crackling fire, campfire | logs burning in a fireplace, flames
cutlery: cutlery, cutlery clinking, knives and forks | silverware rattling, spoons in a drawer
frying-pan: frying pan, frying in a pan, sizzling food | oil sizzling in a skillet, bacon frying
drawer: drawer, opening a drawer, closing a drawer | a kitchen drawer slides open
sweep: sweep, sweeping the floor, a broom sweeping | someone sweeps with a broom, brushing the floor
dishwasher: dishwasher, a dishwasher running | a cycle of washing plates, dish machine
plates: plates, plates clattering, stacking plates | crockery, ceramic dishes put on a table
clean-dishes: clean dishes, washing dishes, doing the dishes | scrubbing in the sink, washing up
stove-fan: stove fan, extractor fan, kitchen hood fan | a cooker hood is on, range hood ventilation
book: book, turning pages of a book, leafing through | a reader turns a leaf, pages of a cookbook
microwave: microwave, a microwave oven, microwave humming | food heated by microwaves, a beep
juicer: juicer, a juicer squeezing fruit, electric juicer | making orange juice, juice machine
water-flowing: water flowing, running water, water from the tap | an open faucet, a tap running
fridge: fridge, a fridge humming, refrigerator | the refrigerator door, an icebox humming
peel: peel, peeling vegetables, peeling a potato | someone peels a carrot, a vegetable peeler
cupboard: cupboard, closing a cupboard, cupboard door | a kitchen cabinet opens, shutting a cabinet
blender: blender, a blender blending, electric mixer | mixing a smoothie, food processor
boiling-water: boiling water, boiling in a pot, bubbling water | a rolling boil, a kettle boils
stove-burner: stove burner, lighting a gas stove, gas burner | igniting the hob, a gas cooker flame
chopping: chopping, chopping vegetables, knife on a cutting board | dicing an onion, cutting food
eat: eat, someone eating, chewing food | crunching and chewing, a person munches
"""


TEMPLATES = ("{}", "the sound of {}", "a recording of {}", "{} in the background", "I can hear {}")
"""Sentences around every training caption."""


def _parse_classes() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    classes = {}
    for line in _CLASSES.strip().splitlines():
        label, _, phrasings = line.partition(": ")
        training, _, evaluation = phrasings.partition(" | ")
        classes[label] = (tuple(training.split(", ")), tuple(evaluation.split(", ")))
    return classes


CLASSES = _parse_classes()
"""Captions of each label: those for training, those held out for evaluation."""


def held_out_captions(label: str) -> tuple[str, ...]:
    """Return the captions of a label that are reserved for evaluation.

    Raises:
        KeyError: the label is not in `CLASSES`.
    """
    return CLASSES[label][1]


def training_captions(label: str, names: Sequence[str] = ()) -> list[str]:
    """Return captions to train on for a sound.

    `names` are further descriptions, such as the file name; unused for labels of `CLASSES`.
    """
    phrasings = CLASSES[label][0] if label in CLASSES else (label, *names)
    clean = [" ".join(phrase.replace("-", " ").replace("_", " ").split()) for phrase in phrasings]
    return [template.format(phrase) for phrase in clean for template in TEMPLATES]
