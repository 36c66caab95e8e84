// The form that writes a document: leaving it with unsaved text asks first. On the conflict page either version
// can be put into the form with one click.

export function fieldsOf(form) {
  return [...form.querySelectorAll("input[name=title], textarea[name=body]")];
}

export function unsaved(form) {
  return "unsaved" in form.dataset || fieldsOf(form).some((field) => field.value !== field.defaultValue);
}

export function editor(form) {
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
