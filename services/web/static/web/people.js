// Names as the pages show them: a coloured initial and the name, always as text. The colours are those of
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

export function face(name) {
  const made = element("span", `face hue-${hue(name)}`, [...name].slice(0, 1).join("").toUpperCase());
  made.setAttribute("aria-hidden", "true");
  return made;
}

export function person(name, doing) {
  const made = element("li", doing === "editing" ? "person is-editing" : "person");
  made.append(face(name), element("span", "person-name", name), element("span", "is-sr-only", ` is ${doing}`));
  return made;
}
