// The form that writes a document: leaving it with unsaved text asks first. On the conflict page either version
// can be put into the form with one click.

export function editor(form) {
  const fields = [...form.querySelectorAll("input[name=title], textarea[name=body]")];
  const saved = fields.map((field) => field.defaultValue);
  let leaving = false;

  const unsaved = () => "unsaved" in form.dataset || fields.some((field, index) => field.value !== saved[index]);
  form.addEventListener("submit", () => {
    leaving = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && unsaved()) event.preventDefault();
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
