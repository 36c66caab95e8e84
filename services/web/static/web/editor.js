// The form that writes a document: leaving it with unsaved text asks first. On the conflict page either version
// can be put into the form with one click.

export function fieldsOf(form) {
  return [...form.querySelectorAll("input[name=title], textarea[name=body]")];
}

function typed(form) {
  return fieldsOf(form).some((field) => field.value !== field.defaultValue);
}

export function unsaved(form) {
  return "unsaved" in form.dataset || typed(form);
}

// Where the browser comes back to a page that it has to fetch anew, it puts the old text into the new form. That text
// still is of the version that it was started from, which the form would take for the newest and save over it.
function keepVersion(form) {
  const { version } = form.elements;
  if (!version) return;
  const rendered = version.value;
  // Not before: until then the text may not be back.
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) return;
    const started = (typed(form) && history.state?.version) || rendered;
    // A hidden field that a script has set is brought back, too, so it is set either way.
    version.value = started;
    history.replaceState({ ...history.state, version: started }, "");
  });
}

export function editor(form) {
  keepVersion(form);
  const fields = fieldsOf(form);
  let leaving = false;

  form.addEventListener("submit", () => {
    leaving = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && unsaved(form)) event.preventDefault();
  });
  // A page that comes back from the browser's cache guards its text again.
  window.addEventListener("pageshow", () => {
    leaving = false;
  });

  for (const button of document.querySelectorAll("[data-take]")) {
    const source = document.querySelector(`[data-source="${button.dataset.take}"]`);
    button.hidden = false;
    button.addEventListener("click", () => {
      const [title, body] = fields;
      title.value = source.dataset.title;
      body.value = source.value;
      body.focus();
    });
  }
}
