"""Words that all topics share: brands, teachers, colours, levels and cities."""

from __future__ import annotations

BRANDS = (
    "Alder & Finch",
    "Norrvik",
    "Hearthlane",
    "Kestrel",
    "Blue Heron",
    "Tamarack",
    "Lumen & Oak",
    "Caravel",
    "Fjordline",
    "Ostara",
    "Pinewright",
    "Quillon",
    "Rookery",
    "Sable & Stone",
    "Tidemark",
    "Umbra",
    "Verdant",
    "Wayfarer",
    "Yarrow",
    "Zephyr",
    "Café Noir",
    "Brightwater",
    "Corvid",
    "Dunmore",
)
TEACHERS = (
    "Maya Lindqvist",
    "Tomás Herrera",
    "Aiko Tanaka",
    "Ben Okafor",
    "Clara Weiss",
    "Dmitri Volkov",
    "Elif Demir",
    "Fatima Zahra",
    "George Papadakis",
    "Hannah O'Neill",
    "Ivan Petrov",
    "Jin Park",
    "Kavya Rao",
    "Lucas Moreau",
    "Nadia Haddad",
    "Oscar Nilsson",
    "Priya Nair",
    "Rosa Bianchi",
)
COLOURS = ("black", "white", "forest green", "navy", "sand", "terracotta", "grey", "mustard", "natural", "burgundy")
CITIES = ("Lisbon", "Gothenburg", "Kraków", "Lyon", "Leeds", "Bologna", "Leipzig", "Galway", "Utrecht", "Valencia")

# Index = tier: what a thing and a course of that tier are called.
RANGES = ("entry", "classic", "professional")
LEVELS = ("beginner", "intermediate", "advanced")
N_TIERS = len(LEVELS)
SERIES = (("Essential ", "First "), ("", ""), ("Pro ", "Master "))
COURSE_TITLES = (
    ("{subject} for Beginners", "First Steps in {subject}"),
    ("{subject} in Practice", "{subject}: Ten Projects"),
    ("Advanced {subject}", "{subject} Masterclass"),
)
FEATURES = (
    "Easy to clean and made to be repaired",
    "Tested by people who use it every week",
    "Comes with a two-year guarantee",
    "Packed without plastic",
    "A favourite of our own staff",
    "Simple, sturdy and good to hold",
)
FORMATS = (
    "Six hours of video with exercises",
    "Weekly live sessions and feedback",
    "Short lessons that fit a lunch break",
    "Downloadable worksheets included",
    "A final project that you keep",
    "Learn at your own pace",
)
