"""Which things the model knows: a name, the pictures' label, code points and key words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .packages import LABELS, read_json

# The hardest to learn come first: most look to one side, or consist of thin parts. A small preset takes the
# first so many. The name stands in captions; where the set's label says something else, it follows a colon.
THINGS = """
elephant; whale:spouting whale; car:automobile; horse:horse face; shark; snail; train:locomotive; key; bicycle;
airplane; pizza; candle; unicorn; snake; dog:dog face; cat:cat face; lion; burger:hamburger; guitar; helicopter;
boat:sailboat; house; tree:deciduous tree; ice cream:soft ice cream; tiger:tiger face; cow:cow face; pig:pig face;
mouse:mouse face; rabbit:rabbit face; bear; panda; fox; monkey:monkey face; frog; penguin; owl; duck; fish:tropical
fish; octopus; crab; turtle; dinosaur:sauropod; butterfly; bee:honeybee; ladybug:lady beetle; rose; sunflower; cactus;
palm tree; mushroom; apple:red apple; banana; orange:tangerine; lemon; strawberry; cherries; grapes; watermelon;
pineapple; avocado; tomato; carrot; cheese:cheese wedge; egg:cooking; donut:doughnut; cookie; cake:birthday cake;
coffee:hot beverage; robot; ghost; alien; skull; smiley:grinning face; heart:red heart; star; sun; moon:crescent moon;
cloud; rainbow; snowflake; snowman:snowman without snow; fire; lightning:high voltage; planet:ringed planet;
earth:globe showing Americas; castle; bus; rocket; ufo:flying saucer; balloon; gift:wrapped gift; diamond:gem stone;
umbrella; soccer ball; basketball; crown; light bulb; clock:alarm clock; book:closed book; bell;
pumpkin:jack-o-lantern; christmas tree:Christmas tree; wolf; koala; hedgehog; bat; camel; sheep:ewe; goat; chicken;
bird; dolphin; crocodile; lizard; dragon; t-rex:T-Rex; squid; shrimp; lobster; ant; spider; scorpion; swan; flamingo;
peacock; parrot; eagle; giraffe; zebra; kangaroo; hippo:hippopotamus; rhino:rhinoceros; raccoon; squirrel:chipmunk;
sloth; llama; tulip; cherry blossom; maple leaf; pine tree:evergreen tree; pear; peach; kiwi:kiwi fruit; coconut;
eggplant; corn:ear of corn; chili:hot pepper; broccoli; bread; croissant; pretzel; pancakes; fries:french fries; hot
dog; taco; sushi; popcorn; spaghetti; lollipop; candy; chocolate:chocolate bar; cupcake; pie; milk:glass of milk;
teapot; wine:wine glass; beer:beer mug; volcano; mountain:snow-capped mountain; tent; ferris wheel; ambulance; fire
engine; police car; taxi; tractor; truck:delivery truck; motorcycle; scooter:kick scooter; skateboard; ship; anchor;
traffic light:vertical traffic light; hourglass:hourglass done; watch; thermometer; tornado; droplet;
football:american football; baseball; tennis; trophy; target:bullseye; kite; dice:game die; teddy bear; puzzle:puzzle
piece; crystal ball; glasses; t-shirt; jeans; dress; sock:socks; backpack; shoe:running shoe; boot:woman’s boot;
hat:top hat; microphone; headphones:headphone; trumpet; violin; drum; phone:mobile phone; battery; laptop; camera;
television; magnifying glass:magnifying glass tilted left; envelope; pencil; paintbrush; scissors; lock:locked;
hammer; axe; sword:crossed swords; bomb; shield; gear; magnet; ladder; microscope; telescope; door; bed; chair;
toilet; bathtub; broom; toothbrush
"""

SKIPPED_GROUPS = (None, 2, 9)  # regional indicators, skin and hair components, flags


@dataclass(frozen=True)
class Thing:
    """``name`` is the caption's word, ``tags`` are key words of the label set."""

    name: str
    label: str
    hexcode: str
    tags: tuple[str, ...] = ()

    @property
    def slugs(self) -> tuple[str, ...]:
        """The file names by which sets may know it, the surest first."""
        said = [re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") for text in (self.label, self.name)]
        return tuple(dict.fromkeys(slug for s in said for slug in (s, s.replace("-", ""), f"{s}-1")))


def plain(label: str) -> str:
    """A label as people would type it: lower case, letters, digits, blanks and hyphens."""
    label = label.lower().replace("’", "").replace("é", "e").replace("ñ", "n").replace("ü", "u")
    label = re.sub(r"[:;,.()!“”&]+", " ", label)
    return " ".join(re.sub(r"[^a-z0-9\- ]+", "", label).split())


def entries(folder: Path) -> dict[str, dict]:
    """The label set's entries by label."""
    rows = read_json(folder / LABELS.archive, "en/data.json")
    return {row["label"]: row for row in rows if row.get("group") not in SKIPPED_GROUPS}


def load_things(folder: Path, count: int) -> list[Thing]:
    """The first ``count`` things; a thing's id is its place. Raises ValueError for a label that is not in the set."""
    known = entries(folder)
    pairs = [" ".join(item.split()).partition(":") for item in THINGS.split(";")]
    wanted = [(name, label or name) for name, _, label in pairs][:count]
    if unknown := [label for _, label in wanted if label not in known]:
        raise ValueError(f"labels that the label set does not have: {unknown}")
    return [
        Thing(name, label, known[label]["hexcode"], tuple(map(plain, known[label].get("tags", ()))))
        for name, label in wanted
    ]


def rivals(folder: Path, things: list[Thing]) -> list[str]:
    """Names of what the model does not know: a word nearer to one of them means none of its things."""
    taken = {thing.label for thing in things}
    return [name for label in entries(folder) if label not in taken and (name := plain(label))]
