// Makes pages pleasanter where scripts run; every page works without it.

const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Show times in the reader's own zone; the exact one stays as a title. */
function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.textContent;
      time.textContent = zone.format(at);
    }
  }
}

localTimes(document);
