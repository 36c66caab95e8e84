// The page of all users online. An event has twenty names at most: up to that number the list is live.

import { element, face, written } from "./people.js";

export function peoplePage({ me }) {
  const list = document.querySelector("[data-people]");
  const more = document.querySelector("[data-people-more]");

  return {
    users(event) {
      if (event.names.length < event.count) {
        more.hidden = list.childElementCount === event.count;
        return;
      }
      more.hidden = true;
      document.querySelector("[data-people-unavailable]")?.remove();
      list.replaceChildren(
        ...event.names.map((name) => {
          const made = element("li");
          made.append(face(name), written("bdi", name));
          if (name === me) made.append(element("span", "meta", "you"));
          return made;
        }),
      );
    },
  };
}
