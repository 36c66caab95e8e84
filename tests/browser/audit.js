// Accessibility checks that every page must pass. Returns the failed ones as texts.
() => {
  const missing = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const name = (element) => {
    const labelledBy = element.getAttribute("aria-labelledby");
    const labels = [...(element.labels ?? [])].map((label) => label.textContent);
    const by = labelledBy ? labelledBy.split(" ").map((id) => document.getElementById(id)?.textContent) : [];
    return [element.getAttribute("aria-label"), ...by, ...labels, element.textContent].join("").trim();
  };
  const what = (element) => element.outerHTML.slice(0, 120);

  if (!document.documentElement.lang) missing.push("no language");
  if (!/ · tidewire$/.test(document.title)) missing.push(`title: ${document.title}`);
  if (all("main").length !== 1) missing.push("not one main landmark");
  if (all("h1").length !== 1) missing.push(`${all("h1").length} h1`);
  let level = 0;
  for (const heading of all("h1, h2, h3, h4").filter(shown)) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) missing.push(`heading level skipped: ${what(heading)}`);
    level = next;
  }
  const ids = all("[id]").map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) missing.push(`id twice: ${id}`);
  for (const element of all("[aria-describedby], [aria-labelledby]")) {
    for (const attribute of ["aria-describedby", "aria-labelledby"]) {
      for (const id of (element.getAttribute(attribute) ?? "").split(" ").filter(Boolean)) {
        if (!document.getElementById(id)) missing.push(`${attribute} leads nowhere: ${id}`);
      }
    }
  }
  for (const element of all("a[href], button, summary, input:not([type=hidden]), textarea, nav, section").filter(shown)) {
    if (!name(element)) missing.push(`no name: ${what(element)}`);
  }
  for (const element of all("a[href], button").filter(shown)) {
    const { width, height } = element.getBoundingClientRect();
    // Links in running text are exempt (WCAG 2.2, 2.5.8); a document's title covers its whole row.
    if (element.closest("p, .crumbs, .notice, .plain-more") || element.matches(".document-title")) continue;
    if (width < 24 || height < 24) {
      missing.push(`smaller than a finger: ${Math.round(width)}x${Math.round(height)} ${what(element)}`);
    }
  }
  for (const image of all("img")) if (!image.hasAttribute("alt")) missing.push(`no alt: ${what(image)}`);
  for (const svg of all("svg")) if (svg.getAttribute("aria-hidden") !== "true") missing.push(`svg: ${what(svg)}`);
  if (all("[tabindex]").some((element) => element.tabIndex > 0)) missing.push("a tabindex above 0");
  if (all("[style], [onclick]").length) missing.push("inline style or script");

  // Contrast (WCAG 2.2, 1.4.3) of every text with the colours behind it.
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (colours) => {
    paint.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      paint.fillStyle = colour;
      paint.fillRect(0, 0, 1, 1);
    }
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    const colours = [];
    for (let at = element; at; at = at.parentElement) colours.unshift(getComputedStyle(at).backgroundColor);
    return ["white", ...colours];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !shown(element) || element.closest(".is-sr-only, script, [disabled], .is-static")) continue;
    const style = getComputedStyle(element);
    const backdrop = behind(element);
    const [light, dark] = [luminance(over(backdrop)), luminance(over([...backdrop, style.color]))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) missing.push(`contrast ${ratio.toFixed(2)}: ${node.data.trim().slice(0, 40)} ${what(element)}`);
  }
  return [...new Set(missing)];
}
