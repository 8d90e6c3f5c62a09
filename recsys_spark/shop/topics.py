"""The vocabulary of the generated shop: topics of taste, each with things to buy and courses to take.

A topic crosses the two departments: a customer who buys a gooseneck kettle may also take a course on latte art.
Neighbouring entries of ``things`` and of ``subjects`` belong together in pairs, the families of ``catalogue.py``.
``sizes`` holds two for each pair.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """One planted taste. All its words are words that a customer would read."""

    name: str
    shop_category: str
    course_category: str
    tags: tuple[str, ...]
    things: tuple[str, ...]
    makes: tuple[str, ...]
    sizes: tuple[str, ...]
    subjects: tuple[str, ...]
    purpose: str


def _topic(name: str, categories: str, purpose: str, **words: str) -> Topic:
    shop, course = categories.split(" | ")
    listed = {key: tuple(text.split(", ")) for key, text in words.items()}
    return Topic(name, shop, course, purpose=purpose, **listed)


TOPICS: tuple[Topic, ...] = (
    _topic(
        "coffee",
        "Kitchen / Coffee | Food and Drink",
        "a better cup every morning",
        tags="coffee, espresso, home barista, brewing, latte art, slow mornings",
        things="Pour-Over Coffee Kettle, Coffee Dripper, Burr Coffee Grinder, Coffee Scale, Espresso Machine, Milk "
        "Frother, French Press, Coffee Canister",
        makes="Stainless Steel, Ceramic, Matte Black, Glass, Copper, Walnut",
        sizes="0.6 L, 1 L, 40 g, 60 g, Small, Large, 0.5 L, 0.8 L",
        subjects="Pour-Over Brewing, Filter Coffee Recipes, Espresso Dialling-In, Latte Art, Coffee Roasting at Home, "
        "Green Coffee Buying, Coffee Tasting, Running a Small Cafe",
    ),
    _topic(
        "hiking",
        "Outdoor / Hiking | Outdoor Skills",
        "long days on the trail",
        tags="hiking, trekking, mountains, backpacking, trail, outdoor",
        things="Hiking Boots, Trekking Socks, Trekking Poles, Trail Gaiters, Hiking Backpack, Rain Cover, Rain "
        "Jacket, Fleece Pullover",
        makes="Waterproof, Lightweight, Alpine, Recycled, All-Season, Breathable",
        sizes="EU 38, EU 42, One Pair, Extra Long, 25 L, 35 L, M, L",
        subjects="Map and Compass Navigation, Route Planning, Mountain First Aid, Weather Reading in the Mountains, "
        "Multi-Day Trekking, Ultralight Packing, Alpine Hut Tours, Via Ferrata Basics",
    ),
    _topic(
        "photography",
        "Electronics / Cameras | Creative Arts",
        "pictures worth printing",
        tags="photography, camera, portrait, landscape, photo editing, street photography",
        things="Mirrorless Camera, Prime Lens, Camera Tripod, Ball Head, Camera Bag, Camera Strap, Polarising "
        "Filter, Softbox Light",
        makes="Compact, Weather-Sealed, Travel, Studio, Lightweight, Matte Black",
        sizes="35 mm, 50 mm, 8 kg Load, 12 kg Load, Small, Large, Small, Medium",
        subjects="Portrait Photography, Studio Lighting, Landscape Photography, Night Photography, Photo Editing, "
        "Colour Grading, Street Photography, Travel Photo Stories",
    ),
    _topic(
        "baking",
        "Kitchen / Baking | Food and Drink",
        "bread and cakes from your own oven",
        tags="baking, sourdough, pastry, bread, cakes, home cooking",
        things="Dutch Oven, Proofing Basket, Bread Lame, Dough Scraper, Cake Tin, Piping Set, Stand Mixer, Digital "
        "Kitchen Scale",
        makes="Stainless Steel, Classic, Enamelled, Beechwood, Copper, Bakery-Grade",
        sizes="22 cm, 26 cm, Single, Set of 2, Small, Large, Compact, Family Size",
        subjects="Sourdough Bread, Wholegrain Loaves, French Pastry, Croissants and Laminated Dough, Cake Decorating, "
        "Chocolate Work, Gluten-Free Baking, Pizza Dough",
    ),
    _topic(
        "gardening",
        "Home / Garden | Home and Garden",
        "a garden that feeds and pleases",
        tags="gardening, vegetables, houseplants, balcony, compost, organic",
        things="Pruning Shears, Garden Trowel, Raised Bed, Seed Tray, Watering Can, Drip Irrigation Kit, Plant Pot, "
        "Grow Light",
        makes="Galvanised, Cedar, Terracotta, Carbon Steel, Recycled, Balcony",
        sizes="20 cm, 25 cm, 60 cm, 120 cm, Small, Large, 25 cm, 40 cm",
        subjects="Vegetable Gardening, Seed Saving, Balcony Gardens, Houseplant Care, Composting, Soil Health, Fruit "
        "Tree Pruning, Garden Design",
    ),
    _topic(
        "programming",
        "Electronics / Computing | Technology",
        "clean code and quiet evenings of hacking",
        tags="programming, python, software, data science, keyboards, web development",
        things="Mechanical Keyboard, Ergonomic Mouse, Developer Monitor, Monitor Arm, Single-Board Computer, Server "
        "Case, USB-C Dock, Laptop Stand",
        makes="Wireless, Aluminium, Compact, Low-Profile, Recycled, Silent",
        sizes="USB-C, Bluetooth, 27 in, 32 in, Mini, Standard, Silver, Graphite",
        subjects="Python Programming, Data Analysis with Pandas, Machine Learning, Deep Learning, Web Development, "
        "JavaScript Interfaces, SQL and Databases, Distributed Systems",
    ),
    _topic(
        "yoga",
        "Sports / Yoga | Health and Wellbeing",
        "a calm mind and a strong back",
        tags="yoga, meditation, mindfulness, flexibility, pilates, wellbeing",
        things="Yoga Mat, Mat Bag, Yoga Block, Yoga Strap, Meditation Cushion, Yoga Bolster, Pilates Ring, Massage "
        "Roller",
        makes="Natural Rubber, Cork, Organic Cotton, Recycled, Foldable, Buckwheat",
        sizes="183 cm, 200 cm, Single, Pair, Round, Rectangular, 33 cm, 38 cm",
        subjects="Vinyasa Flow, Yoga for Back Pain, Breathwork, Mindfulness Meditation, Pilates Mat Work, Core "
        "Strength, Yin Yoga, Sleep and Relaxation",
    ),
    _topic(
        "cycling",
        "Sports / Cycling | Outdoor Skills",
        "the ride to work and the ride to the coast",
        tags="cycling, gravel, road bike, bikepacking, commuting, bike repair",
        things="Gravel Bike, Road Helmet, Bike Multi-Tool, Floor Pump, Frame Bag, Handlebar Bag, Bike Light, Bike Lock",
        makes="Aluminium, Carbon, Reflective, Waterproof, Lightweight, Aero",
        sizes="M, L, Travel, Workshop, 3 L, 5 L, Small, Large",
        subjects="Bike Maintenance, Wheel Building, Bikepacking Trips, Gravel Route Planning, Training with Power, "
        "Climbing Technique, Bike Fitting, Safe City Cycling",
    ),
    _topic(
        "guitar",
        "Music / Guitars | Music",
        "songs around the table",
        tags="guitar, acoustic, blues, songwriting, home recording, music theory",
        things="Acoustic Guitar, Guitar Strings, Electric Guitar, Tube Amplifier, Overdrive Pedal, Loop Pedal, Audio "
        "Interface, Condenser Microphone",
        makes="Vintage, Studio, Travel, Hand-Built, Signature, Stage",
        sizes="6 String, 12 String, Black, Sunburst, Mini, Full Size, USB, USB-C",
        subjects="Fingerstyle Guitar, Acoustic Campfire Songs, Blues Improvisation, Rock Riffs, Songwriting, Music "
        "Theory for Guitarists, Home Recording, Mixing and Mastering",
    ),
    _topic(
        "watercolour",
        "Art / Painting | Creative Arts",
        "colour, water and paper",
        tags="watercolour, painting, sketching, illustration, urban sketching, art supplies",
        things="Watercolour Set, Watercolour Paper Block, Round Brush, Mop Brush, Sketchbook, Ink Pen Set, Field "
        "Easel, Gouache Set",
        makes="Handmade, Pocket, Artist-Grade, Travel, Student, Limited-Edition",
        sizes="Small, Large, No. 6, No. 10, Single, Set of 3, Compact, Large",
        subjects="Watercolour Landscapes, Loose Florals, Urban Sketching, Perspective Drawing, Botanical Illustration, "
        "Colour Mixing, Gouache Painting, Portrait Sketching",
    ),
    _topic(
        "woodworking",
        "Tools / Woodworking | Craft and Making",
        "furniture that lasts",
        tags="woodworking, joinery, hand tools, furniture making, carving, workshop",
        things="Dovetail Saw, Marking Gauge, Bench Plane, Chisel Set, Carving Knife, Spoon Gouge, Workbench Vise, "
        "Router Table",
        makes="Japanese, Beech, Forged, Brass, Workshop, Precision",
        sizes="20 cm, 25 cm, 38 mm, 50 mm, Left-Handed, Right-Handed, Small, Large",
        subjects="Hand-Cut Dovetails, Japanese Joinery, Sharpening Hand Tools, Building a Workbench, Spoon Carving, "
        "Woodturning, Furniture Design, Wood Finishing",
    ),
    _topic(
        "running",
        "Sports / Running | Health and Wellbeing",
        "the next personal best",
        tags="running, marathon, trail running, training plan, endurance, recovery",
        things="Running Shoes, Running Socks, GPS Sports Watch, Heart Rate Strap, Hydration Vest, Running Belt, Foam "
        "Roller, Massage Ball",
        makes="Cushioned, Breathable, Reflective, Lightweight, Carbon-Plated, Seamless",
        sizes="EU 38, EU 42, S, L, S, M, Firm, Soft",
        subjects="Couch to 5K, Running Form, Marathon Training, Interval Training, Trail Running, Ultra Distance "
        "Preparation, Sports Nutrition, Injury Prevention",
    ),
    _topic(
        "knitting",
        "Craft / Yarn | Craft and Making",
        "warm things made by hand",
        tags="knitting, crochet, yarn, wool, handmade, sewing",
        things="Merino Yarn, Sock Yarn, Circular Needles, Crochet Hook Set, Yarn Bowl, Project Bag, Sewing Machine, "
        "Fabric Scissors",
        makes="Hand-Dyed, Bamboo, Organic, Nordic, Speckled, Pastel",
        sizes="50 g, 100 g, 4 mm, Set of 9, Small, Large, Compact, Heavy Duty",
        subjects="Knitting Socks, Knitting Sweaters, Lace Knitting, Colourwork and Fair Isle, Crochet Amigurumi, "
        "Granny Squares, Natural Dyeing, Sewing Clothes",
    ),
    _topic(
        "astronomy",
        "Electronics / Optics | Science",
        "clear nights and dark skies",
        tags="astronomy, stargazing, telescope, planets, astrophotography, night sky",
        things="Dobsonian Telescope, Refractor Telescope, Eyepiece, Barlow Lens, Star Tracker, Astronomy Camera, "
        "Astronomy Binoculars, Star Atlas",
        makes="Wide-Angle, Portable, Dark-Sky, Premium, Red-Light, Beginner-Friendly",
        sizes="130 mm, 200 mm, 1.25 in, 2 in, Kit, Body Only, Compact, Deluxe",
        subjects="Stargazing, Observing the Planets, Deep-Sky Astrophotography, Processing Nebula Images, Cosmology, "
        "Black Holes, Moon Observation, Building a Telescope",
    ),
    _topic(
        "dogs",
        "Pets / Dogs | Home and Garden",
        "a good life with a good dog",
        tags="dogs, puppy, dog training, pets, dog walking, grooming",
        things="Dog Harness, Dog Leash, Dog Bed, Dog Crate, Chew Toy, Treat Pouch, Grooming Brush, Slow Feeder Bowl",
        makes="Padded, Orthopaedic, Natural Rubber, Washable, No-Pull, Reflective",
        sizes="S, L, M, XL, Small, Large, Small, Large",
        subjects="Puppy Training, House Training, Loose-Leash Walking, Recall Training, Agility for Dogs, Scent Work, "
        "Canine Nutrition, Dog Grooming",
    ),
    _topic(
        "robotics",
        "Electronics / Making | Technology",
        "machines that move by your own design",
        tags="robotics, electronics, microcontroller, 3d printing, soldering, maker",
        things="Robot Arm Kit, Servo Motor Set, Microcontroller Board, Sensor Kit, Soldering Station, Digital "
        "Multimeter, 3D Printer, Printer Filament",
        makes="Programmable, Open-Source, Classroom, Desktop, Compact, Wi-Fi",
        sizes="Small, Large, 3.3 V, 5 V, Bench, Portable, 1.75 mm, 2.85 mm",
        subjects="Robot Kinematics, Autonomous Robots, Microcontroller Projects, Sensors and Actuators, Soldering, "
        "Circuit Board Design, 3D Printing, Parametric CAD",
    ),
    _topic(
        "japanese cooking",
        "Kitchen / Asian Cooking | Food and Drink",
        "ramen, sushi and rice at home",
        tags="japanese cooking, sushi, ramen, knives, fermentation, asian food",
        things="Santoku Knife, Sharpening Stone, Rice Cooker, Donabe Pot, Sushi Mat, Bento Box, Matcha Whisk, Miso "
        "Starter Kit",
        makes="Traditional, Lacquered, Bamboo, Handmade, Tokyo-Style, Kyoto-Style",
        sizes="17 cm, 21 cm, 1 L, 1.8 L, Single, Set of 2, Single, Gift Box",
        subjects="Sushi and Sashimi, Knife Skills, Ramen Broth, Handmade Noodles, Miso and Koji Fermentation, Japanese "
        "Pickles, Bento Cooking, Tea Ceremony",
    ),
    _topic(
        "fishing",
        "Outdoor / Fishing | Outdoor Skills",
        "patience by the water",
        tags="fishing, fly fishing, angling, lakes, lures, fly tying",
        things="Fly Rod, Fly Reel, Spinning Rod, Lure Box, Fishing Waders, Landing Net, Fly Tying Vise, Tackle Bag",
        makes="Lightweight, River, Saltwater, Travel, Carbon, All-Round",
        sizes="5 wt, 8 wt, Medium, Large, M, L, Compact, Large",
        subjects="Fly Casting, Reading a River, Fly Tying, Dry Fly Patterns, Pike and Perch Spinning, Lure Fishing, "
        "Sea Angling, Filleting and Cooking Fish",
    ),
    _topic(
        "board games",
        "Games / Board Games | Hobbies and Games",
        "evenings around the table",
        tags="board games, chess, strategy, puzzles, family games, tabletop",
        things="Chess Set, Chess Clock, Strategy Board Game, Card Game, Jigsaw Puzzle, Puzzle Mat, Dice Set, "
        "Miniature Paint Set",
        makes="Wooden, Magnetic, Cooperative, Travel, Collector's, Illustrated",
        sizes="Club Size, Tournament Size, 2 Players, 2-4 Players, 1000 Pieces, 2000 Pieces, 7 Pieces, 12 Pieces",
        subjects="Chess Openings, Chess Endgames, Chess Tactics, Chess Strategy, Board Game Design, Storytelling for "
        "Game Masters, Miniature Painting, Probability in Games",
    ),
    _topic(
        "skincare",
        "Beauty / Skincare | Health and Wellbeing",
        "skin that feels good",
        tags="skincare, natural cosmetics, moisturiser, sunscreen, soap making, self care",
        things="Face Cream, Hydrating Serum, Clay Mask, Facial Cleanser, Mineral Sunscreen, Lip Balm, Bath Soap, "
        "Essential Oil Set",
        makes="Fragrance-Free, Vitamin C, Organic, Hyaluronic, Oat, Rosehip",
        sizes="30 ml, 50 ml, 75 ml, 150 ml, SPF 30, SPF 50, Single, Set of 3",
        subjects="Skincare Routines, Understanding Ingredients, Natural Cosmetics, Soap Making, Facial Massage, "
        "Aromatherapy, Make-Up Basics, Sun Protection Science",
    ),
)
