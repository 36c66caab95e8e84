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
// still is of the version that it was started from, which stays with the page in the browser's history.
function versionKeeper(form) {
  const { version } = form.elements;
  const rendered = version?.value;
  let kept = !version;

  return () => {
    if (kept) return;
    kept = true;
    version.value = (typed(form) && history.state?.version) || rendered;
    history.replaceState({ ...history.state, version: version.value }, "");
  };
}

export function editor(form) {
  // Not when the page is shown: the text may come back after that. Before a key or a save it has.
  const keepVersion = versionKeeper(form);
  for (const type of ["beforeinput", "input", "submit"]) form.addEventListener(type, keepVersion);

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
      keepVersion();
      const [title, body] = fields;
      title.value = source.dataset.title;
      body.value = source.value;
      body.focus();
    });
  }
}
