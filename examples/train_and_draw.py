"""Learn a word from a folder of pictures and draw with it, from Python.

python examples/train_and_draw.py my-pictures
"""

import sys
from pathlib import Path

from pseudoword import GenerateOptions, Settings, Studio, TrainOptions, draw_images, train_word

settings = Settings(embeddings_dir=Path("embeddings"), runs_dir=Path("runs"))
options = TrainOptions(name="mystyle", pictures=sys.argv[1], init="line art", steps=30, overwrite=True)

for event in train_word(options, settings):  # the caller owns the loop; closing it keeps the run's state
    print(event)

studio = Studio.open(settings, model="bundled")
for number, image in enumerate(draw_images(studio, GenerateOptions(prompt="a cat, art by mystyle", seed=1))):
    image.save(f"mystyle-{number}.png")
