// The search page: asks, shows, tells what was shown and clicked. All texts go in as text, never as markup.

const COLUMNS = [
  ["prectr", "PRECTR", "by P(click): text, this shopper's past, everybody's clicks"],
  ["lightgbm", "LightGBM", "boosted trees on the same features of the same moment"],
  ["relevance", "Relevance alone", "by the expected level of query and text"],
  ["bm25", "BM25", "by words in common"],
];
const SHOWN = 12;
const NEW = "";
const byId = (id) => document.getElementById(id);
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

const me = { name: stored("name", () => `new:${random()}`), past: JSON.parse(stored("past", () => "[]")) };
let shoppers = [];
let page = null; // the answer that is shown
let before = null; // of the same query and shopper: place and P(click) by item

function stored(name, make) {
  const found = sessionStorage.getItem(name) ?? make();
  sessionStorage.setItem(name, found);
  return found;
}

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { style, ...others } = properties;
  Object.assign(made, others);
  for (const [name, value] of Object.entries(style ?? {})) made.style.setProperty(name, value);
  made.append(...children.filter((each) => each !== null));
  return made;
}

async function call(path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  const key = sessionStorage.getItem("key");
  if (key) headers.authorization = `Bearer ${key}`;
  const answer = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  const content = await answer.json();
  if (answer.status === 401) byId("key").hidden = false;
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function say(text, error = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", error);
}

const tried = (work) => async (event) => {
  try {
    await work(event);
  } catch (error) {
    say(error.message, true);
  }
};

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
const signed = (number, digits = 2) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(digits)}`;
const userId = () => byId("shopper").value || me.name;
const colour = (level, count) => `hsl(${30 + (185 * level) / Math.max(1, count - 1)} ${45 + (35 * level) / count}% 52%)`;

// Who asks.

async function loadShoppers() {
  shoppers = await call("/v1/shoppers");
  const chosen = byId("shopper").value;
  byId("shopper").replaceChildren(
    element("option", { value: NEW, textContent: "somebody new" }),
    ...shoppers.map((each) =>
      element("option", { value: each.name, textContent: `${each.name.replace(":", " ")} · ${each.clicks} clicks` })),
  );
  byId("shopper").value = chosen;
  showPast();
}

function showPast() {
  const shopper = shoppers.find((each) => each.name === byId("shopper").value);
  const past = shopper ? shopper.past : me.past;
  byId("past-title").textContent = past.length
    ? `Latest clicks of ${shopper ? shopper.name.replace(":", " ") : "this visit"}: ${past[0].text}${past.length > 1 ? ", …" : ""}`
    : "Somebody new: no past yet";
  byId("past-list").replaceChildren(
    ...past.map((each) => element("li", { textContent: each.query ? `${each.text} (under “${each.query}”)` : each.text })));
}

// Searching.

async function search(tells = true) {
  const query = byId("query").value.trim();
  if (!query) return say("Type what you are looking for.");
  const user = userId();
  const floor = Number(byId("floor").value);
  const same = page && page.query === query && page.user === user;
  const started = performance.now();
  const found = await call("/v1/search", { query, user_id: user, floor, rivals: true });
  const seconds = performance.now() - started;
  before = same ? page.places : null;
  page = { ...found, query, user, chosen: new Set(), places: placesOf(found) };
  show();
  const hidden = found.below_floor.length;
  const moved = before ? [...page.places].filter(([id, now]) => before.has(id) && before.get(id).place !== now.place).length : 0;
  say(
    `${found.results.length} items in ${seconds.toFixed(0)} ms` +
      (hidden ? `; ${hidden} left out: too likely of a low level` : "") +
      (before ? `; ${moved} changed places since the last search` : "") + ".");
  history.replaceState(null, "", `?q=${encodeURIComponent(query)}`);
  if (!tells) return;
  const seen = found.orders.prectr.slice(0, SHOWN).map((place) => eventOf("impression", found.results[place]));
  if (seen.length) await call("/v1/events", { events: seen });
}

function placesOf(found) {
  return new Map(found.orders.prectr.map((place, rank) =>
    [found.results[place].item_id, { place: rank, p: found.results[place].p_click }]));
}

const eventOf = (kind, result) => ({
  event_id: `page:${random()}`, kind, user_id: page.user, query: page.query, item_id: result.item_id, page_id: page.page_id,
});

function show() {
  const levels = page.levels;
  byId("floor-level").textContent = `${levels[Math.floor(levels.length / 2)]}${levels.length > 2 ? " or better" : ""}`;
  byId("legend").replaceChildren(
    ...levels.map((name, level) => element("span", { textContent: name, style: { "--level": colour(level, levels.length) } })));
  const low = new Set(page.below_floor);
  byId("columns").replaceChildren(
    ...COLUMNS.filter(([name]) => name in page.orders).map(([name, title, what]) => {
      const order = page.orders[name].filter((place) => !low.has(place)).slice(0, SHOWN);
      return element("section", { className: "column", id: `column-${name}` },
        element("h2", { textContent: title }),
        element("p", { textContent: order.length ? what : "Nothing." }),
        element("ol", {}, ...order.map((place, rank) => card(page.results[place], rank, name === "prectr"))));
    }));
}

function card(result, rank, tells) {
  const count = page.levels.length;
  const price = result.attributes.ctx_num_price ?? result.attributes.num_price;
  const was = tells && before ? before.get(result.item_id) : undefined;
  const spoken = result.level_prob.map((share, level) => `${page.levels[level]} ${percent(share, 0)}`).join(", ");
  return element("li", { className: `card${page.chosen.has(result.item_id) ? " chosen" : ""}` },
    element("div", { className: "top" },
      element("span", { className: "place", textContent: rank + 1 }),
      element("button", { className: "title", type: "button", textContent: result.text, title: "Click: counts as a click", onclick: tried(() => choose(result)) }),
      price === undefined ? null : element("span", { className: "price", textContent: price.toFixed(2) })),
    element("div", { className: "levels", role: "img", ariaLabel: spoken, title: spoken },
      ...result.level_prob.map((share, level) => element("span", { style: { width: `${100 * share}%`, "--level": colour(level, count) } }))),
    element("div", { className: "facts" },
      element("span", {}, "P(click) ", element("b", { textContent: percent(result.p_click) })),
      was && Math.abs(was.p - result.p_click) >= 0.0005 ? move(result.p_click - was.p, `${signed(100 * (result.p_click - was.p), 1)} points`) : null,
      was && was.place !== rank ? move(was.place - rank, `${was.place > rank ? "▲" : "▼"} from ${was.place + 1}`) : null,
      element("span", { textContent: `τ ${signed(result.tau)}`, title: "what this shopper's taste for relevance adds, in logits" }),
      others(result) ? element("span", { textContent: others(result) }) : null,
      result.clicked ? element("span", { textContent: `clicked ${result.clicked} time${result.clicked > 1 ? "s" : ""} under this query` }) : null,
      element("button", { type: "button", textContent: "why?", onclick: tried(() => explain(result)) })));
}

// Attributes that the text does not say: what tells twins apart.
function others(result) {
  const said = result.text.toLowerCase();
  return Object.entries(result.attributes)
    .filter(([name, value]) => name.startsWith("cat_") && !String(value).toLowerCase().split(/[^\p{L}\d]+/u).every((word) => said.includes(word)))
    .map(([name, value]) => `${name.slice(4).replaceAll("_", " ")} ${value}`).slice(0, 3).join(", ");
}

const move = (by, text) => element("span", { className: by > 0 ? "moved-up" : "moved-down", textContent: text });

async function choose(result) {
  await call("/v1/events", { events: [eventOf("click", result)] });
  page.chosen.add(result.item_id);
  result.clicked += 1;
  if (page.user === me.name) {
    me.past = [{ query: page.query, text: result.text }, ...me.past].slice(0, SHOWN);
    sessionStorage.setItem("past", JSON.stringify(me.past));
  }
  show();
  await loadShoppers();
  say("Counted as a click. Search again to see what it changed.");
}

// Why an item is where it is.

async function explain(result) {
  byId("drawer-title").textContent = result.text;
  byId("drawer-body").replaceChildren(element("p", { textContent: "Taking the score apart …" }));
  byId("drawer").showModal();
  const others = page.orders.prectr.slice(0, SHOWN).map((place) => page.results[place]);
  const wanted = [result, ...others.filter((each) => each.item_id !== result.item_id)].slice(0, SHOWN);
  try {
    const facts = await call("/v1/explain", {
      query: page.query, user_id: page.user, top_events: 4, top_features: 8,
      candidates: wanted.map((each) => ({ item_id: each.item_id, attributes: onPage(each.attributes) })),
    });
    const found = facts.candidates.find((each) => each.item_id === result.item_id);
    byId("drawer-body").replaceChildren(...explanation(found, facts.level_names ?? page.levels));
  } catch (error) {
    byId("drawer-body").replaceChildren(element("p", { textContent: error.message }));
  }
}

const onPage = (attributes) =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => name.startsWith("num_")).map(([name, value]) => [`ctx_${name}`, value]));

function explanation(found, levels) {
  const parts = [
    element("p", { textContent: `P(click) ${percent(found.p_click, 2)} is the sum over levels of P(level) × P(click | level).` }),
    table(["level", "P(level)", "P(click | level)", "product"],
      levels.map((name, k) => [name, percent(found.level_prob[k]), percent(found.p_click_given_level[k]), percent(found.level_prob[k] * found.p_click_given_level[k], 2)])),
    element("p", { textContent: `τ ${signed(found.tau, 3)} logits: what this shopper's taste for relevance adds.` +
      (found.alpha == null ? "" : ` ${percent(found.alpha, 0)} of it from the shopper's own past, the rest from others under the query.`) }),
  ];
  const kinds = { user: "The shopper's past that was looked at", cross: "Others' past that was looked at" };
  for (const [kind, looked] of Object.entries(found.looked_at ?? {})) {
    parts.push(element("h3", { textContent: kinds[kind] ?? kind }),
      table(["event", "days ago", "weight"], [
        ...looked.events.map((each) => [`${each.clicked ? "clicked" : "passed over"}: ${each.text}${each.query ? ` (“${each.query}”)` : ""}`, each.days_ago.toFixed(0), percent(each.weight)]),
        ["nothing", "", percent(looked.nothing)]]));
  }
  for (const [name, title] of [["inputs", "Single inputs that moved it most"], ["groups", "Groups of inputs"]]) {
    const rows = Object.entries(found.occlusion?.[name] ?? {}).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    if (rows.length) parts.push(element("h3", { textContent: `${title} (logits, against the mean)` }), table(["input", "adds"], rows.map(([input, by]) => [input, signed(by, 3)])));
  }
  return parts;
}

function table(titles, rows) {
  const cells = (tag, row) => row.map((value, place) => element(tag, { textContent: value, className: place ? "number" : "" }));
  return element("table", {},
    element("thead", {}, element("tr", {}, ...cells("th", titles))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row)))));
}

// What the page listens to.

let waiting;
const later = (work) => () => {
  clearTimeout(waiting);
  waiting = setTimeout(tried(work), 150);
};

async function suggest() {
  const found = await call(`/v1/suggestions?q=${encodeURIComponent(byId("query").value)}`);
  byId("suggestions").replaceChildren(...found.map((query) => element("option", { value: query })));
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  tried(() => search())();
});
byId("query").addEventListener("input", later(suggest));
byId("floor").addEventListener("input", () => {
  byId("floor-value").textContent = percent(Number(byId("floor").value), 0);
  if (page) later(() => search(false))(); // one look at a page, however the slider is moved
});
byId("shopper").addEventListener("change", tried(async () => {
  showPast();
  if (page) await search();
}));
byId("drawer-close").addEventListener("click", () => byId("drawer").close());
byId("drawer").addEventListener("click", (event) => event.target === byId("drawer") && byId("drawer").close());
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", byId("key-value").value);
  byId("key").hidden = true;
  tried(begin)();
});

async function begin() {
  byId("floor").value = 0; // browsers keep it over a reload
  await loadShoppers();
  await suggest();
  const query = new URLSearchParams(location.search).get("q");
  if (query) {
    byId("query").value = query;
    await search();
  }
}

tried(begin)();
