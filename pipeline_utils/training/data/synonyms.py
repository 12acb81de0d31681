"""Other words for the things that people name in many ways.

Before the bar: words that captions use, too. After it: words that never stand in a caption, which
``evaluate`` asks for.
"""

from __future__ import annotations

SYNONYMS = """
dog = puppy, doggo, hound, labrador | pup, doggy, canine, terrier; cat = kitten, kitty, tomcat | feline, pussycat;
lion = big cat | lioness; tiger = tiger cub | bengal tiger; horse = pony, stallion | mare, equine; unicorn = magic
horse | fairy tale horse; cow = cattle, bull | calf, bovine; pig = piggy, piglet | swine, hog; mouse = mice, rodent |
little mouse, rat; rabbit = bunny | hare, easter bunny; bear = grizzly | brown bear; panda = panda bear | giant panda;
fox = red fox | foxes; monkey = ape, chimp | chimpanzee, primate; frog = toad | tree frog, amphibian; penguin =
emperor penguin | penguins; owl = night owl | barn owl; duck = mallard | duckling; fish = goldfish | tropical fish,
trout; shark = great white shark | sharks; whale = blue whale | whales; octopus = squid | kraken, tentacles; crab =
lobster | crabs; turtle = tortoise | sea turtle; snake = serpent | cobra, viper; dragon = fire dragon | dragons;
dinosaur = dino | brontosaurus; butterfly = moth | butterflies; bee = honeybee, bumblebee | honey bee, bees; ladybug =
ladybird, beetle | lady beetle; snail = slug | snails; elephant = elephants | african elephant; rose = red rose |
roses; sunflower = sun flower | sunflowers; cactus = desert plant | cacti; tree = oak, oak tree | maple tree, trees;
palm tree = palm, coconut tree | palms; mushroom = toadstool | fungus, mushrooms; apple = red apple | fruit apple,
apples; banana = bananas | ripe banana; orange = tangerine, mandarin | clementine, oranges; lemon = citrus | lemons;
strawberry = strawberries, berry | ripe strawberry; cherries = cherry | two cherries, sour cherry; grapes = grape |
bunch of grapes; watermelon = melon | slice of watermelon; pineapple = ananas | pineapples; avocado = avocados |
guacamole; tomato = tomatoes | ripe tomato; carrot = carrots | vegetable carrot; cheese = cheddar | swiss cheese,
gouda; burger = hamburger, cheeseburger | beef burger; pizza = slice of pizza | pepperoni pizza, pizzas; egg = fried
egg | eggs, omelette; popcorn = movie snack | pop corn; sushi = nigiri | japanese food; ice cream = gelato, soft serve
| icecream, frozen yogurt; donut = doughnut | donuts; cookie = biscuit | cookies, chocolate chip cookie; cake =
birthday cake | cakes, party cake; coffee = espresso, cup of coffee | cappuccino, latte; beer = pint, mug of beer |
lager, ale; robot = android, bot | droid, cyborg; ghost = spook, phantom | spirit, ghosts; alien = extraterrestrial |
martian, aliens; skull = skeleton head | skeleton, skulls; smiley = smile, happy face | smiling face, grin; heart =
love, red heart | hearts, valentine; star = gold star | stars, yellow star; sun = sunshine | sunny, summer sun; moon =
crescent moon | half moon, lunar crescent; cloud = clouds | white cloud; rainbow = rainbows | colors of the rainbow;
snowflake = snow flake | snow, ice crystal; snowman = snow man | frosty the snowman; fire = flame, bonfire | flames,
campfire; lightning = thunderbolt, bolt | lightning bolt, thunder; planet = saturn | ringed planet, jupiter; earth =
globe, world | planet earth; volcano = eruption | lava mountain, volcanoes; mountain = peak, mount everest |
mountains, summit; house = home, cottage | villa, houses; castle = fortress, palace | castles; car = automobile, sedan
| vehicle, cars; bus = coach, school bus | buses; truck = lorry, delivery truck | trucks, van; train = locomotive,
steam train | railway train, trains; bicycle = bike, push bike | cycle, bicycles; boat = sailboat, ship | sailing
boat, yacht; airplane = plane, jet | aeroplane, aircraft; helicopter = chopper | helicopters; rocket = spaceship,
space rocket | spacecraft, rockets; ufo = flying saucer | alien spaceship; balloon = party balloon | balloons; gift =
present, gift box | birthday present, gifts; trophy = winners cup | award, golden cup; soccer ball = football, soccer
| footballs; basketball = orange ball | basketball ball; guitar = acoustic guitar | electric guitar, guitars; crown =
royal crown | king's crown, tiara; diamond = gem, jewel | gemstone, crystal; key = old key | keys, door key; sword =
dagger, knife | blade, swords; bomb = explosive | bombs, dynamite; umbrella = parasol | umbrellas, rain umbrella;
light bulb = bulb, lamp | lightbulb, idea; candle = wax candle | candles, candlelight; camera = photo camera |
cameras, photography; laptop = notebook computer, computer | laptop computer, macbook; clock = timepiece | old clock,
clocks; book = novel | books, textbook; pencil = crayon | pencils; scissors = shears | pair of scissors; bell = school
bell | bells, golden bell; hat = top hat | hats, magician hat; shoe = sneaker, running shoe | shoes, trainers; glasses
= spectacles | eyeglasses; pumpkin = jack-o-lantern | halloween pumpkin, pumpkins; christmas tree = xmas tree |
decorated tree; wolf = grey wolf | wolves; sheep = lamb, ewe | sheeps; t-rex = tyrannosaurus | rex; chili = hot
pepper, jalapeno | chillies; fries = french fries, chips | potato fries; phone = mobile phone, smartphone, cell phone
| iphone; lock = padlock | locks; watch = wristwatch | watches; football = american football | footballs
"""


def curated() -> dict[str, tuple[list[str], list[str]]]:
    """name -> (words in captions, words held out)."""
    table = {}
    for item in " ".join(SYNONYMS.split()).split("; "):
        name, _, rest = item.partition(" = ")
        used, _, held = rest.partition(" | ")
        table[name] = (used.split(", "), held.split(", "))
    return table
