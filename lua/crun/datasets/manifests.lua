--- manifests.lua - where the data sets come from, whose they are, and how to know them
--
-- A manifest: title, about, source (the page), licence, credit, loader (of crun.datasets, or
-- "imagefolder"), and files, each with
--   name      in the set's folder
--   url       where it is published; without it, it can only be put there by hand
--   bytes, sha256                     of the file, where they are known
--   content = { bytes =, sha256 = }   of what a gzipped file holds: mirrors pack anew
--   tree = { pattern =, count =, sha256 = }   instead of a file: the files in the folder whose
--             paths match; sha256 of their "SHA256  PATH" lines, in the order of paths' bytes
--   extra     not fetched unless it is named: crun data fetch NAME/FILE
--   unpacks   an archive: the folder that it holds, which is put beside it
--   variants  other versions of the file with other checksums are about, and are read too
-- A checksum that is not known for sure is left out.
local OMNIGLOT <const> = "https://github.com/brendenlake/omniglot/raw/master/python/"
local MNIST <const> = "https://ossci-datasets.s3.amazonaws.com/mnist/"
local UCI <const> = "https://archive.ics.uci.edu/ml/machine-learning-databases/pendigits/"

return {
  cifar10 = {
    title = "CIFAR-10", about = "60,000 colour pictures of 10 kinds of things, 32 x 32",
    source = "https://www.cs.toronto.edu/~kriz/cifar.html", licence = "none stated",
    credit = "Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    loader = "cifar10",
    files = {
      { name = "cifar-10-binary.tar.gz", url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        bytes = 170052171, unpacks = "cifar-10-batches-bin",
        sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd" },
    },
  },
  lfw = {
    title = "Labeled Faces in the Wild", about = "13,233 photographs of 5,749 people, 250 x 250",
    source = "http://vis-www.cs.umass.edu/lfw/", licence = "none stated; for research",
    credit = "Huang, Ramesh, Berg, Learned-Miller, Labeled faces in the wild, UMass 07-49, 2007",
    loader = "lfw",
    files = {
      { name = "lfw.tgz", url = "http://vis-www.cs.umass.edu/lfw/lfw.tgz", unpacks = "lfw" },
      { name = "pairs.txt", url = "http://vis-www.cs.umass.edu/lfw/pairs.txt" },
    },
  },
  mnist = {
    title = "MNIST", about = "60,000 and 10,000 handwritten digits, 28 x 28",
    source = "http://yann.lecun.com/exdb/mnist/", licence = "CC BY-SA 3.0",
    credit = "LeCun, Cortes, Burges", loader = "mnist",
    files = {
      { name = "train-images-idx3-ubyte.gz", url = MNIST .. "train-images-idx3-ubyte.gz",
        content = { bytes = 47040016,
          sha256 = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db" } },
      { name = "train-labels-idx1-ubyte.gz", url = MNIST .. "train-labels-idx1-ubyte.gz",
        content = { bytes = 60008,
          sha256 = "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5" } },
      { name = "t10k-images-idx3-ubyte.gz", url = MNIST .. "t10k-images-idx3-ubyte.gz",
        content = { bytes = 7840016,
          sha256 = "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7" } },
      { name = "t10k-labels-idx1-ubyte.gz", url = MNIST .. "t10k-labels-idx1-ubyte.gz",
        content = { bytes = 10008,
          sha256 = "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2" } },
    },
  },
  omniglot = {
    title = "Omniglot", about = "1,623 characters of 50 alphabets by 20 people, pictures and strokes",
    source = "https://github.com/brendenlake/omniglot", licence = "MIT",
    credit = "Lake, Salakhutdinov, Tenenbaum, Science 350, 2015", loader = "omniglot",
    files = {
      { name = "images_background_small1.zip", url = OMNIGLOT .. "images_background_small1.zip",
        bytes = 1319022, sha256 = "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4" },
      { name = "strokes_background_small1.zip", url = OMNIGLOT .. "strokes_background_small1.zip",
        bytes = 3056274, sha256 = "8cb3960fb6cf4ccf5f064ad83169f828c36c36782a0f6e7faacb7ecfae4468a2" },
      { name = "all_runs.zip", url = OMNIGLOT .. "one-shot-classification/all_runs.zip",
        bytes = 352787, sha256 = "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325" },
      { name = "images_background.zip", url = OMNIGLOT .. "images_background.zip", extra = true },
      { name = "images_evaluation.zip", url = OMNIGLOT .. "images_evaluation.zip", extra = true },
      { name = "strokes_background.zip", url = OMNIGLOT .. "strokes_background.zip", extra = true },
      { name = "strokes_evaluation.zip", url = OMNIGLOT .. "strokes_evaluation.zip", extra = true },
    },
  },
  orl_faces = {
    title = "ORL faces", about = "40 people, 10 grey pictures of each, 92 x 112",
    source = "https://cam-orl.co.uk/facedatabase.html", licence = "none stated; credit asked for",
    credit = "AT&T Laboratories Cambridge; Samaria, Harter, 1994", loader = "imagefolder",
    files = {
      { name = "s1/1.pgm ... s40/10.pgm", tree = { pattern = "^s%d+/%d+%.pgm$", count = 400,
        sha256 = "dd43efaf12cb0f1539ae2eae22dc4fa469b79f11a450237afab2905761d4fea7" } },
    },
  },
  pendigits = {
    title = "Pen digits", about = "10,992 digits written on a tablet, 8 points each",
    source = "https://archive.ics.uci.edu/dataset/81", licence = "CC BY 4.0",
    credit = "Alpaydin, Alimoglu, 1998, UCI Machine Learning Repository", loader = "pendigits",
    files = {
      { name = "pendigits.tra", url = UCI .. "pendigits.tra", variants = true,
        sha256 = "46d918c0bf055fc9cbed117c9c4e34af870a4f9b42d4716e5a6f27ab2e298a9f" },
      { name = "pendigits.tes", url = UCI .. "pendigits.tes", variants = true,
        sha256 = "70f0eb502f352398cbab8f3cf8c60365ceede5390a0ed78fe7767739e7173ae1" },
    },
  },
}
