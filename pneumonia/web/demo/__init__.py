"""The interactive demo, by Gradio."""
