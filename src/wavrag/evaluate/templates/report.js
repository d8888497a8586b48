// A player gets its recording when its query is opened. Each recording is in the page once.
const recordings = JSON.parse(document.getElementById("recordings").textContent);
for (const box of document.querySelectorAll("details")) {
  box.addEventListener("toggle", () => {
    for (const player of box.querySelectorAll("audio[data-key]")) {
      if (!player.src) player.src = recordings[player.dataset.key];
    }
  });
}
