"""Two shops made here, one German and one Chinese: people search by other words than the catalogue writes, which only
gold tells, so what counts letters cannot order them.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

LEVELS = ("unpassend", "verwandt", "ersatz", "genau")

GERMAN = {
    "classes": {
        "Küche": {
            ("Kühlgerät", "Eisschrank"): "Kühlschrank freistehend",
            ("Herd", "Kochstelle"): "Induktionskochfeld mit Timer",
            ("Spülmaschine", "Abwaschautomat"): "Geschirrspüler leise",
        },
        "Wohnen": {
            ("Couch", "Zweisitzer"): "Sofa mit Schlaffunktion",
            ("Bücherbord", "Wandbrett"): "Regal aus Eichenholz",
            ("Teppich", "Bodenbelag"): "Läufer kurzflorig",
        },
        "Technik": {
            ("Handy", "Mobiltelefon"): "Smartphone 128 GB",
            ("Fernseher", "Flachbildschirm"): "TV-Gerät 55 Zoll",
            ("Rechner", "Notebook"): "Laptop mit Dockingstation",
        },
    },
    "colours": {"schwarz": "schwarze", "weiß": "weiße", "rot": "rote", "blau": "blaue", "grün": "grüne"},
    "makers": ("Nordlicht", "Hansa", "Möwe"),
    "query": "{noun} {colour}",
    "item": "{maker} {colour} {noun}",
}

CHINESE = {
    "classes": {
        "厨房": {
            ("冰箱", "冷藏柜"): "双门电冰柜",
            ("炉灶", "灶台"): "嵌入式电磁炉",
            ("洗碗机", "刷碗器"): "全自动餐具清洗机",
        },
        "家居": {
            ("沙发", "长椅"): "布艺双人座",
            ("书架", "置物架"): "实木搁板",
            ("地毯", "脚垫"): "短绒地垫",
        },
        "数码": {
            ("手机", "移动电话"): "智能终端128G",
            ("电视", "彩电"): "55寸液晶屏",
            ("笔记本", "手提电脑"): "便携式计算机",
        },
    },
    "colours": {"黑": "黑色", "白": "白色", "红": "红色", "蓝": "蓝色", "绿": "绿色"},
    "makers": ("北辰", "海风", "明月"),
    "query": "{colour}{noun}",
    "item": "{maker}{colour}{noun}",
}

SHOPS = {"deutsch": GERMAN, "zhongwen": CHINESE}


def write_ratings(shop: dict[str, dict], path: Path) -> None:
    """Rated pairs as CSV, columns `suche`, `titel`, `note`: what is searched for in its colour is `genau`, in another
    one `ersatz`, another thing of the same room `verwandt`, of another room `unpassend`.
    """
    things = [(room, names, noun) for room, classes in shop["classes"].items() for names, noun in classes.items()]
    colours = list(shop["colours"].items())
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("suche", "titel", "note"))
        for number, ((room, _, noun), (colour, _), name) in enumerate(
            (thing, colour, name) for thing in things for colour in colours for name in thing[1]
        ):
            query = shop["query"].format(noun=name, colour=colour)
            for place, ((other_room, _, other), (other_colour, written)) in enumerate(
                itertools.product(things, colours)
            ):
                same, near = other == noun, other_room == room
                if not same and (number + place) % (3 if near else 5):
                    continue  # of what is not searched for, a part
                level = 3 if same and colour == other_colour else 2 if same else 1 if near else 0
                maker = shop["makers"][(number + place) % len(shop["makers"])]
                item = shop["item"].format(maker=maker, colour=written, noun=other)
                rows.writerow((query, item, LEVELS[level]))
