// Notifies other users that a document is being edited. A request for the page must not, because browsers also load
// pages that are never shown. Without this script there is no notification.

export async function announceEditing(form) {
  await visible();
  const token = form.elements.csrfmiddlewaretoken.value;
  // A failure only means that there is no notification. The badge and the lease come through the socket.
  fetch(form.dataset.editingUrl, { method: "POST", headers: { "X-CSRFToken": token } }).catch(() => {});
}

function visible() {
  return new Promise((resolve) => {
    const resolveIfVisible = () => {
      if (document.visibilityState !== "visible") return;
      document.removeEventListener("visibilitychange", resolveIfVisible);
      resolve();
    };
    document.addEventListener("visibilitychange", resolveIfVisible);
    resolveIfVisible();
  });
}
