"""What the demo's further tabs say; `words` is where they are asked for."""

MEANING = {
    "people": "Of 1000 people",
    "prevalence": "How many of them have pneumonia",
    "low": "Answers Normal below",
    "high": "Answers Pneumonia above",
    "reset": "As shipped",
    "rates": "Of {ill} held-out X-rays with pneumonia, {found} get the answer "
    "Pneumonia (95 % interval {found_ends}). Of {well} without, {clear} get the "
    "answer Normal ({clear_ends}).",
    "own": "Your X-ray got {p}, which is in this zone.",
    "positive": "{told} are told Pneumonia. {found} of them have it.",
    "left": "{told} are left to a reader. {ill} of them have pneumonia.",
    "negative": "{told} are told Normal. {missed} of them have pneumonia.",
    "found": "{count} have pneumonia and are told Pneumonia",
    "doubted": "{count} have pneumonia and are left to a reader",
    "missed": "{count} have pneumonia and are told Normal",
    "alarm": "{count} have none and are told Pneumonia",
    "asked": "{count} have none and are left to a reader",
    "clear": "{count} have none and are told Normal",
    "grid": "1000 people as marks, in six groups",
    "note": "Among the held-out X-rays {share} show pneumonia, far more than among all "
    "children with a cough. The fewer people are sick, the more of the answers "
    "Pneumonia are false alarms.",
    "roc": "Each threshold finds some and alarms some",
    "roc_x": "false alarms among those without",
    "roc_y": "found among those with pneumonia",
    "roc_note": "The two dots are the ends of the zone that is left to a reader. Lines "
    "through a dot are 95 % intervals, as if each X-ray were of another patient.",
    "reliability": "Does 80% mean 80%?",
    "reliability_x": "stated probability",
    "reliability_y": "share that had pneumonia",
    "reliability_note": "Both labels weigh alike, as if every second person were sick. "
    "Larger dots stand for more X-rays. On the dashed line, the stated probability is "
    "right.",
    "benefit": "Would it help to follow it?",
    "benefit_x": "probability from which one would treat",
    "benefit_y": "net benefit, of what is possible",
    "benefit_note": "A decision curve (Vickers and Elkin 2006), at the number of sick "
    "people above. Thick: treat whom the network calls sick. Thin: treat everybody. "
    "Dashed: treat nobody. Whoever treats from 10 % on accepts nine treatments in vain "
    "for one that helps.",
}
"""What `static/meaning.js` says."""

READING = {
    "begin": "Begin",
    "picture": "An X-ray of a child",
    "place": "X-ray {number} of {count}. Keys 1 to 5 answer.",
    "alone": "What do you see?",
    "aided": "You have seen the network's answer. What do you say now?",
    "steps": [
        "surely normal",
        "probably normal",
        "unsure",
        "probably pneumonia",
        "surely pneumonia",
    ],
    "truth": "Physicians called this X-ray {truth}.",
    "next": "Next X-ray",
    "end": "Finish",
    "done": "These were all X-rays that ship.",
    "restart": "Begin again",
    "failed": "The network could not be asked. Is the server still there?",
    "again": "Try again",
    "score": "Your score after {count} X-rays",
    "table": "Your score",
    "columns": ["Pneumonias found", "Normals left alone", "Area under the ROC curve"],
    "you_alone": "You, alone",
    "you_aided": "You, aided",
    "network": "The network",
    "roc": "ROC curves: found (up) by false alarms (across)",
    "roc_x": "false alarms among the normals",
    "roc_y": "found among the pneumonias",
    "roc_note": "Dashed: you, alone. Thin: you, aided. Thick: the network.",
    "changed": "Its answer mended {mended} of yours, and spoilt {spoilt}.",
    "counted": "From step 4 on, your answer counts as Pneumonia; unsure counts as "
    "Normal. The network's uncertain answers count by the side to which they lean. In "
    "parentheses: 95 % intervals.",
    "save": "Save as CSV",
}
"""What `static/reading.js` says."""

YOURS = {
    "about": "{files} files. Answered and labelled: {normal} Normal, {pneumonia} "
    "Pneumonia.",
    "unlabelled": "{count} files have no label, {first} among them, and do not count. "
    "Put files into folders NORMAL and PNEUMONIA, or name them in a CSV file.",
    "refused": "No answer, so not counted",
    "warned": "Answered, but with a warning",
    "few": "Too few to measure: at least {least} answered X-rays of each label are "
    "needed.",
    "auroc": "AUROC",
    "sensitivity": "Sensitivity, at the operating point that ships",
    "specificity": "Specificity, at the operating point that ships",
    "zone": "{normal} Normal, {pneumonia} Pneumonia",
    "far": "Farther from the training images than the gate lets in",
    "looks": {
        "height": "Lungs unusually high or flat in the picture",
        "width": "Lungs unusually wide or narrow in the picture",
        "brightness": "Unusually bright or dark",
        "contrast": "Of unusually high or low contrast",
    },
    "unlike": "Unusual is what lies beyond the middle 90 % of the training images. So "
    "10 % would be usual.",
    "here": "What would suit this place",
    "threshold": "At a probability of {threshold}, sensitivity plus specificity is "
    "greatest here. Chosen on nine tenths of these X-rays and applied to the others, "
    "such a threshold has sensitivity {sensitivity} and specificity {specificity}.",
    "needed": "For intervals of five points to either side, {normal} more X-rays "
    "without pneumonia and {pneumonia} more with it are needed.",
    "roc": "ROC curve: found (up) by false alarms (across)",
    "roc_note": "Each place on the curve is a threshold. The diagonal would be chance.",
    "reliability": "Share with pneumonia (up) by stated probability (across)",
    "reliability_note": "Both labels weigh alike, as if every second X-ray showed "
    "pneumonia. On the dashed line, the stated probability is right.",
    "caveat": "In parentheses: 95 % intervals, as if each X-ray were of another "
    "patient. Such a test says how the network ranks these X-rays. It does not make it "
    "a medical device.",
    "keep": "Save this as a page",
}
"""What `templates/yours.html` says."""
