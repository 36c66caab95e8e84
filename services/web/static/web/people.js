// Names as shown by the pages: a coloured initial and the name, always as text. The colours must match those of
// templatetags/people.py.

const HUES = 8;

function hue(name) {
  let sum = 0;
  for (const character of name) sum += character.codePointAt(0);
  return sum % HUES;
}

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Text written by a user: its direction is independent of its surroundings.
export function written(tag, text) {
  const made = element(tag, "", text);
  made.dir = "auto";
  return made;
}

// For places without markup: Unicode's isolates around the text.
export function isolated(text) {
  return `\u2068${text}\u2069`;
}

export function face(name) {
  const made = element("span", `face hue-${hue(name)}`, [...name].slice(0, 1).join("").toUpperCase());
  made.setAttribute("aria-hidden", "true");
  return made;
}

export function person(name, doing) {
  const made = element("li", doing === "editing" ? "person is-editing" : "person");
  const label = written("span", name);
  label.className = "person-name";
  made.append(face(name), label, element("span", "is-sr-only", ` is ${doing}`));
  return made;
}
