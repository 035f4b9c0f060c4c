// Says what came of linking to the window that has opened this one, and leads back to where the person came from.

const said = document.querySelector("[data-outcome]");
const { outcome, target, onward } = said.dataset;
if (window.opener) {
  window.opener.postMessage(JSON.parse(outcome), target);
}
if (onward) {
  // An opener that has waited for this closes the window at once; one of long ago does not.
  setTimeout(() => window.location.replace(onward), window.opener ? 1500 : 0);
}
